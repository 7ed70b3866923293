//! The list of flags, for people (HTML) and for programs (JSON); both are made once, when the
//! server starts.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use bytes::Bytes;
use flags_data::Catalogue;
use serde::Serialize;

/// Both forms of the list.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) html: Bytes,
    pub(crate) json: Bytes,
}

/// One flag in the JSON list.
#[derive(Serialize)]
struct Entry<'a> {
    code: flags_data::CountryCode,
    country: &'a str,
    /// Relative to the list.
    image: String,
    metadata: String,
    bytes: usize,
    sha256: flags_data::Digest,
}

impl List {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        Self {
            html: html_list(catalogue).into(),
            json: json_list(catalogue).into(),
        }
    }

    /// Whether the client would rather read JSON: its `accept` weighs `application/json` above
    /// `text/html`.
    pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
        let accept = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let ranges: Vec<&str> = accept.flat_map(|value| value.split(',')).collect();
        weight(&ranges, "application", "json") > weight(&ranges, "text", "html")
    }
}

/// The weight that these media ranges give a type: that of the most specific one (RFC 9110, section
/// 12.5.1).
fn weight(ranges: &[&str], kind: &str, subtype: &str) -> f32 {
    let mut best = (0, 0.0);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let specificity = match parts.next().and_then(|media| media.split_once('/')) {
            Some((k, s)) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 3,
            Some((k, "*")) if k.eq_ignore_ascii_case(kind) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let q = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if specificity > best.0 {
            best = (specificity, q);
        }
    }
    best.1
}

fn json_list(catalogue: &Catalogue) -> String {
    let entries: Vec<Entry<'_>> = catalogue
        .flags()
        .map(|flag| {
            let cc = flag.code.to_lowercase();
            Entry {
                code: flag.code,
                country: &flag.country,
                image: format!("{cc}/{cc}.gif"),
                metadata: format!("{cc}/metadata.json"),
                bytes: flag.image.bytes.len(),
                sha256: flag.image.digest,
            }
        })
        .collect();
    serde_json::to_string(&entries).expect("text and numbers are JSON") + "\n"
}

fn html_list(catalogue: &Catalogue) -> String {
    let count = catalogue.len();
    let mut html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{count} flags</title><link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head>\
         <body><h1>{count} flags</h1><p>Each at <code><i>cc</i>/<i>cc</i>.gif</code>, its facts beside it \
         in <code>metadata.json</code>; this list as JSON with <code>accept: application/json</code>.</p><ul>"
    );
    for flag in catalogue.flags() {
        let (code, cc) = (flag.code, flag.code.to_lowercase());
        let country = escaped(&flag.country);
        html += &format!(
            "<li><a href=\"{cc}/{cc}.gif\"><img src=\"{cc}/{cc}.gif\" alt=\"\" width=\"400\" height=\"300\" \
             loading=\"lazy\"><span><b>{code}</b> {country}</span></a></li>"
        );
    }
    html + "</ul></body></html>"
}

/// Text as it stands between the tags of HTML. This is the one place of the server that needs it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

const STYLE: &str = "\
:root { color-scheme: light dark; font: 1rem/1.4 system-ui, sans-serif }
body { margin: 0 auto; max-width: 80rem; padding: 1rem }
ul { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); list-style: none; padding: 0 }
a { color: inherit; display: block; text-decoration: none }
a:hover span { text-decoration: underline }
img { aspect-ratio: 4 / 3; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); box-sizing: border-box; display: block; height: auto; width: 100% }
span { display: block; font-size: .875rem; overflow-wrap: anywhere; padding-top: .25rem }
code { background: color-mix(in srgb, currentColor 10%, transparent); border-radius: .25rem; padding: .1em .3em }
";

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers_json(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        List::prefers_json(&headers)
    }

    #[test]
    fn json_is_served_on_request() {
        assert!(prefers_json("application/json"));
        assert!(prefers_json("text/html;q=0.5, application/json"));
        assert!(prefers_json("application/*, text/html;q=0"));
        assert!(prefers_json(
            "*/*;q=0.1, APPLICATION/JSON; charset=utf-8; q=0.9"
        ));
    }

    #[test]
    fn the_name_of_a_country_is_escaped() {
        assert_eq!(escaped("<b>A & B</b>"), "&lt;b&gt;A &amp; B&lt;/b&gt;");
    }

    #[test]
    fn html_is_served_to_browsers_and_by_default() {
        assert!(!List::prefers_json(&HeaderMap::new()));
        assert!(!prefers_json("*/*"));
        assert!(!prefers_json(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        ));
        assert!(!prefers_json("application/json;q=0.2, text/html"));
        assert!(!prefers_json("application/json;q=nonsense"));
        assert!(!prefers_json(",;/"));
    }
}
