//! Markup as text: the one place where a page or a picture becomes a string.

use maud::Markup;

/// The text of a page or a picture. `maud` escapes what has a meaning; characters that XML forbids
/// (XML 1.0, section 2.2) have no escape there, so they are replaced, or nothing would show the
/// picture.
pub(super) fn text(markup: Markup) -> String {
    let text = markup.into_string();
    if text.chars().all(is_allowed) {
        return text;
    }
    let allowed = |c| {
        if is_allowed(c) {
            c
        } else {
            char::REPLACEMENT_CHARACTER
        }
    };
    text.chars().map(allowed).collect()
}

fn is_allowed(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => other >= ' ',
    }
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::*;

    #[test]
    fn any_text_is_valid_in_xml() {
        for character in ('\0'..='\u{2fff}').chain('\u{fff0}'..='\u{ffff}') {
            let name = format!("a{character}b");
            let text = text(html! { svg aria-label=(name) { title { (name) } } });
            roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        }
    }
}
