//! Text from outside (a server, a file, a name, a command line) as it may be shown: without what
//! drives a terminal, and without passwords.

use std::fmt::Write as _;
use std::io::Write as _;

/// What may reach a terminal: lines, tabs and colours. Every other control character is written as
/// an escape such as `\u{1b}`, and a password in a URL as `***`.
///
/// Both programs write to their terminal through this, so that nothing else has to think of it.
pub fn printable(text: &str) -> String {
    let text = without_credentials(text);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        let length = match colour(rest) {
            Some(length) => {
                shown.push_str(&rest[..length]);
                length
            }
            None => {
                push(&mut shown, next, matches!(next, '\n' | '\t'));
                next.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    shown
}

/// Prints on standard error, with colours on a terminal only. There is nowhere to say that this
/// failed.
pub fn complain(text: &str) {
    let mut out = anstream::stderr().lock();
    out.write_all(printable(text).as_bytes()).ok();
}

/// Foreign text as a part of one line: [`printable`], without line breaks, tabs and colours of its
/// own.
pub fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in without_credentials(text).chars() {
        push(&mut shown, character, false);
    }
    shown
}

fn push(shown: &mut String, character: char, is_allowed: bool) {
    if is_allowed || !drives_terminal(character) {
        shown.push(character);
    } else {
        let _ = write!(shown, "{}", character.escape_unicode()); // writing to a String cannot fail
    }
}

/// Whether it changes a terminal, the direction of a text, or its lines.
pub fn drives_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' // marks of a direction
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // embeddings, overrides, isolates
            | '\u{2028}' | '\u{2029}' // separators of lines and paragraphs
        )
}

/// The length of the colour (ECMA-48, SGR) that a text begins with.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let rest = parameters.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
    let rest = rest.strip_prefix('m')?;
    Some(text.len() - rest.len())
}

/// The same text with `***` for the user and the password of each URL in it:
/// `http://***@localhost:8000/flags`.
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://").map(|at| at + "://".len()) {
        let (before, authority) = rest.split_at(start);
        let end =
            authority.find(|c: char| matches!(c, '/' | '?' | '#' | '\\') || c.is_whitespace());
        let end = end.unwrap_or(authority.len());
        shown.push_str(before);
        let host = match authority[..end].rfind('@') {
            Some(at) => {
                shown.push_str("***");
                at
            }
            None => 0,
        };
        shown.push_str(&authority[host..end]);
        rest = &authority[end..];
    }
    shown + rest
}

/// The headers whose values are secrets.
const SECRET: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// A command line as it may be written down: no passwords in URLs, and no values of the headers
/// that carry secrets.
pub fn shareable(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut is_header = false;
    let shown = words.into_iter().map(|word| {
        let start = ["--header=", "-H"]
            .into_iter()
            .find(|start| word.starts_with(start));
        let start = start.filter(|start| word.len() > start.len()).unwrap_or("");
        let shown = match word[start.len()..].split_once(':') {
            Some((name, _)) if (is_header || !start.is_empty()) && is_secret(name) => {
                format!("{start}{name}: ***")
            }
            _ => without_credentials(&word),
        };
        is_header = matches!(word.as_str(), "-H" | "--header");
        shown
    });
    shown.collect()
}

fn is_secret(name: &str) -> bool {
    SECRET
        .iter()
        .any(|secret| secret.eq_ignore_ascii_case(name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_lines_and_colours_and_nothing_else_that_drives_it() {
        for (text, shown) in [
            ("Côte d’Ivoire\n\tok", "Côte d’Ivoire\n\tok"),
            ("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[31", "\\u{1b}[31"),
            ("\u{1b}", "\\u{1b}"),
            ("a\rb\u{8}", "a\\u{d}b\\u{8}"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("\u{2028}", "\\u{2028}"),
            ("\0", "\\u{0}"),
        ] {
            assert_eq!(printable(text), shown);
            assert_eq!(printable(shown), shown, "it is escaped once");
        }
    }

    #[test]
    fn a_name_stays_on_its_line_and_has_no_colour() {
        assert_eq!(one_line("a\nb\t\u{1b}[1mc"), "a\\u{a}b\\u{9}\\u{1b}[1mc");
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, shown) in [
            ("http://user:password@host/flags", "http://***@host/flags"),
            (
                "at (http://user@host:1/), twice http://u:p@h?q=a@b",
                "at (http://***@host:1/), twice http://***@h?q=a@b",
            ),
            ("https://a:b@c@host", "https://***@host"),
            ("http://host/a@b", "http://host/a@b"),
            ("http://host and me@home", "http://host and me@home"),
            ("http://é:é@host", "http://***@host"),
            ("://", "://"),
            ("", ""),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }

    #[test]
    fn a_command_line_is_written_down_without_secrets() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let typed = words(&[
            "load",
            "-H",
            "Authorization: Bearer x",
            "-Hcookie:y",
            "--header=accept: */*",
            "--header",
            "x-authorization: z",
            "http://u:p@host/",
            "authorization: w",
        ]);
        let shown = words(&[
            "load",
            "-H",
            "Authorization: ***",
            "-Hcookie: ***",
            "--header=accept: */*",
            "--header",
            "x-authorization: z",
            "http://***@host/",
            "authorization: w",
        ]);
        assert_eq!(shareable(typed), shown);
    }
}
