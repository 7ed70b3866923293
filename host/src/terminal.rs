//! What a terminal can do, and whether there still is one.

use std::io::IsTerminal;

/// Whether this is a terminal on which the cursor can be moved. With the variable `TERM` empty or
/// `dumb`, as in an editor's window, lines are all that it shows.
pub fn is_screen(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && moves_cursor(std::env::var_os("TERM").as_deref())
}

/// Windows has terminals without the variable.
fn moves_cursor(term: Option<&std::ffi::OsStr>) -> bool {
    match term {
        None => cfg!(windows),
        Some(term) => !term.is_empty() && term != "dumb",
    }
}

/// Whether this process has a controlling terminal: one that is closed is none any more.
#[cfg(unix)]
#[must_use]
pub fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether this process has a controlling terminal: there is no such thing here.
#[cfg(not(unix))]
#[must_use]
pub fn has_terminal() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_name_or_without_abilities_shows_lines_only() {
        let moves = |term: &str| moves_cursor(Some(term.as_ref()));
        assert!(moves("xterm-256color") && moves("screen") && moves("linux"));
        assert!(!moves("dumb") && !moves(""));
        assert_eq!(moves_cursor(None), cfg!(windows));
    }
}
