//! The pages of HTML say what the text says, load nothing, and show names as text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tripcurve_lab::html::{escaped, of_markdown, page};
use tripcurve_lab::table::Table;

/// A folder of this process's own that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lab-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the lab. Returns what it prints.
fn lab(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tripcurve-lab"))
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

fn sample() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("samples/outage.csv").display().to_string()
}

/// Everything that a browser would load or run is in the page.
fn assert_loads_nothing(page: &str) {
    let lower = page.to_lowercase();
    for outside in ["<script", "<link", "http:", "https:", "@import", "url("] {
        assert!(!lower.contains(outside), "the page has {outside:?}");
    }
    for source in lower.split("src=\"").skip(1) {
        let source: String = source.chars().take(40).collect();
        assert!(source.starts_with("data:"), "it loads {source}");
    }
}

#[test]
fn a_page_of_a_replay_has_each_policy_and_each_trip_with_its_cause() {
    let folder = Folder::new("replay");
    let path = folder.file("page.html");
    let printed = lab(&[
        "replay",
        &sample(),
        "--policy",
        "consecutive:5",
        "error-rate:0.5",
        "--out",
        path.to_str().unwrap(),
    ]);
    assert!(printed.contains("The page is in"), "{printed}");
    let page = fs::read_to_string(path).unwrap();
    assert_loads_nothing(&page);
    for policy in ["consecutive:5", "error-rate:0.5"] {
        assert!(page.contains(&format!("<h2>{policy}</h2>")), "{policy}");
    }
    let causes: Vec<_> = printed
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("trip ")?.split_once("): "))
        .map(|(_, cause)| format!("<span class=\"reason\">{}<br>", escaped(cause)))
        .collect();
    assert!(!causes.is_empty(), "{printed}");
    for cause in causes {
        assert!(page.contains(&cause), "the page lacks {cause}");
    }
}

#[test]
fn names_and_notes_with_markup_are_texts() {
    let folder = Folder::new("markup");
    let log = folder.file("<img src=x>.csv");
    fs::write(
        &log,
        "# <script>alert(1)</script>\ntime_ms,duration_ms,outcome\n1,5,ok\n20,5,ok\n",
    )
    .unwrap();
    let path = folder.file("page.html");
    let policy = "consecutive:5";
    let (log, out) = (log.to_str().unwrap(), path.to_str().unwrap());
    lab(&["replay", log, "--policy", policy, "--out", out]);
    let page = fs::read_to_string(path).unwrap();
    assert_loads_nothing(&page);
    assert!(!page.contains("<img src=x>"));
    assert!(page.contains("&lt;img src=x&gt;.csv"));
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
}

#[test]
fn a_page_of_a_comparison_has_the_tables_and_charts_of_the_results() {
    let folder = Folder::new("compare");
    let path = folder.file("page.html");
    lab(&[
        "compare",
        "--quick",
        "--effort",
        "0.01",
        "--repetitions",
        "1",
        "--policies",
        "classic,hystrix",
        "--scenarios",
        "total",
        "--rates",
        "100",
        "--out",
        folder.0.to_str().unwrap(),
        "--html",
        path.to_str().unwrap(),
    ]);
    let page = fs::read_to_string(path).unwrap();
    assert_loads_nothing(&page);
    let results = fs::read_to_string(folder.file("RESULTS.md")).unwrap();
    let tables = results.matches("\n| --- |").count();
    assert!(tables >= 4, "{tables} tables");
    assert_eq!(page.matches("<table>").count(), tables);
    for line in results.lines().filter(|line| line.starts_with("![")) {
        let (caption, file) = line[2..].split_once("](").unwrap();
        assert!(page.contains(&format!("alt=\"{caption}\"")), "{caption}");
        assert!(folder.file(file.trim_end_matches(')')).is_file(), "{file}");
    }
}

#[test]
fn a_heading_becomes_the_title_and_a_picture_stands_in_the_page() {
    let markdown =
        "# A & B\n\n![two < three](charts/a.svg)\n\n## Part\n\n| a | b |\n|---|---:|\n| 1 | 2 |\n";
    let page = of_markdown(markdown, |address| {
        (address == "charts/a.svg").then(|| "<svg>\"&#%</svg>".to_owned())
    });
    assert!(page.contains("<title>A &amp; B</title>"));
    assert!(page.contains("alt=\"two &lt; three\""));
    assert!(page.contains("data:image/svg+xml,%3Csvg%3E%22%26%23%25%3C/svg%3E"));
    assert!(page.contains("<h2>Part</h2>"));
    assert!(
        !page.contains("<h1>A &amp; B</h1>\n<"),
        "the title stands once"
    );
    assert_loads_nothing(&page);
}

#[test]
fn cells_and_titles_are_escaped() {
    let mut table = Table::new(["<a>", "b"]);
    table.row(["\"c\"", "<d>"]);
    let html = table.html();
    assert!(
        html.contains("<th scope=\"col\">&lt;a&gt;</th><th>b</th>"),
        "{html}"
    );
    assert!(html.contains("<td>&lt;d&gt;</td>"), "{html}");
    assert!(page("<x>", "").contains("<title>&lt;x&gt;</title>"));
}
