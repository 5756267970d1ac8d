//! Pages of HTML in the dashboard's style. Each is one file and loads nothing.

use std::fmt;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use pulldown_cmark_escape::{FmtWriter, escape_html};

/// The dashboard's style, which knows light and dark.
const STYLE: &str = include_str!("../../crates/tripcurve-dashboard/page/app.css");
/// What the lab's pages need besides.
const OWN_STYLE: &str = include_str!("html.css");

/// Makes a text safe in HTML, between tags and in quoted attributes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::new();
    // Writing to a string can't fail.
    let _ = escape_html(FmtWriter(&mut safe), text);
    safe
}

/// A page with this title around the content, which is HTML.
#[must_use]
pub fn page(title: &str, content: impl fmt::Display) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n\
         <header class=\"top\"><div class=\"bar\"><h1>{title}</h1></div></header>\n\
         <main>\n{content}</main>\n</body>\n</html>\n"
    )
}

/// A number with its name, as the dashboard shows them.
#[must_use]
pub fn tile(name: &str, value: &str) -> String {
    format!(
        "<div class=\"tile\"><dt>{}</dt><dd>{}</dd></div>\n",
        escaped(name),
        escaped(value)
    )
}

/// A page of Markdown as a page of HTML. `picture` returns the SVG for an image's address.
#[must_use]
pub fn of_markdown(markdown: &str, picture: impl Fn(&str) -> Option<String>) -> String {
    let mut title = String::new();
    let mut events = Vec::new();
    let mut parser = Parser::new_ext(markdown, Options::ENABLE_TABLES);
    while let Some(event) = parser.next() {
        match event {
            // The first heading is the page's title.
            Event::Start(Tag::Heading { .. }) if title.is_empty() => {
                let texts = parser.by_ref();
                let texts = texts.take_while(|it| !matches!(it, Event::End(TagEnd::Heading(_))));
                title.extend(texts.filter_map(text));
            }
            Event::Start(Tag::Image { ref dest_url, .. }) => match picture(dest_url) {
                None => events.push(event),
                Some(svg) => {
                    let caption = parser.by_ref();
                    let caption = caption.take_while(|it| !matches!(it, Event::End(TagEnd::Image)));
                    let caption: Vec<_> = caption.filter_map(text).collect();
                    events.push(html(figure(&caption.concat(), &svg)));
                }
            },
            Event::Start(Tag::Table(_)) => {
                events.extend([html("<div class=\"scroll\">".to_owned()), event]);
            }
            Event::End(TagEnd::Table) => events.extend([event, html("</div>\n".to_owned())]),
            event => events.push(event),
        }
    }
    let mut content = String::from("<article class=\"panel document\">\n");
    pulldown_cmark::html::push_html(&mut content, events.into_iter());
    page(&title, content + "</article>\n")
}

fn text(event: Event<'_>) -> Option<String> {
    match event {
        Event::Text(text) | Event::Code(text) => Some(text.into_string()),
        _ => None,
    }
}

fn html(text: String) -> Event<'static> {
    Event::InlineHtml(text.into())
}

/// A picture with its caption. As part of an address it can't change the page's style.
fn figure(caption: &str, svg: &str) -> String {
    use fmt::Write as _;
    let mut encoded = String::new();
    for byte in svg.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b' ' | b'.' | b',' | b'-' | b'=' | b'/' => {
                encoded.push(byte.into());
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    let caption = escaped(caption);
    format!(
        "<span class=\"figure\"><img src=\"data:image/svg+xml,{encoded}\" alt=\"{caption}\">\
         <span class=\"note\">{caption}</span></span>"
    )
}
