//! The page and its files. All of them are in the program.

use axum::extract::{OriginalUri, Path};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The rules for browsers: nothing from elsewhere, and nothing inline.
const POLICY: &str =
    "default-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = include_str!("../page/index.html");

const JS: &str = "text/javascript; charset=utf-8";

/// The files beside the page.
const FILES: &[(&str, &str, &str)] = &[
    (
        "app.css",
        "text/css; charset=utf-8",
        include_str!("../page/app.css"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../page/icon.svg"),
    ),
    ("app.js", JS, include_str!("../page/app.js")),
    ("actions.js", JS, include_str!("../page/actions.js")),
    ("card.js", JS, include_str!("../page/card.js")),
    ("charts.js", JS, include_str!("../page/charts.js")),
    ("detail.js", JS, include_str!("../page/detail.js")),
    ("dom.js", JS, include_str!("../page/dom.js")),
    ("events.js", JS, include_str!("../page/events.js")),
    ("store.js", JS, include_str!("../page/store.js")),
    ("wall.js", JS, include_str!("../page/wall.js")),
    ("words.js", JS, include_str!("../page/words.js")),
];

fn headers(kind: &'static str) -> [(HeaderName, &'static str); 6] {
    [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ]
}

/// The page. Its addresses are relative, so it works wherever it is nested.
pub(crate) async fn index(OriginalUri(uri): OriginalUri) -> Response {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let base = if last.is_empty() {
        "./".to_owned()
    } else {
        format!("./{}/", escaped(last))
    };
    let html = HTML.replace("{base}", &base);
    (headers("text/html; charset=utf-8"), html).into_response()
}

/// A part of an address, safe in an attribute.
fn escaped(part: &str) -> String {
    let mut safe = String::new();
    for letter in part.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A file of the page.
pub(crate) async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(own, _, _)| *own == name) {
        Some((_, kind, text)) => (headers(kind), *text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, HTML, escaped};

    #[test]
    fn nothing_is_inline_or_from_elsewhere() {
        let files = FILES.iter().map(|(name, _, text)| (*name, *text));
        for (name, text) in files.chain([("index.html", HTML)]) {
            for bad in ["https://", "http://", "innerHTML", "style=\"", "eval("] {
                let is_name = bad == "http://" && text.contains("http://www.w3.org/");
                assert!(is_name || !text.contains(bad), "{name} contains {bad}");
            }
        }
        assert!(!HTML.contains("<style") && !HTML.contains(" onclick"));
        assert_eq!(HTML.matches("<script").count(), 1);
    }

    #[test]
    fn an_address_can_not_leave_its_attribute() {
        assert_eq!(escaped("a\"><b>"), "a&quot;&gt;&lt;b&gt;");
    }
}
