//! The terminal: what is printed there, and how wide it is.
//!
//! All that the program prints goes through this module, or through [`complain`]. The macros of the
//! standard library and of anstream panic if it cannot be printed; clippy refuses them.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use flag_cli::{complain, printable, shareable};
use flag_host::terminal::is_screen;

/// Whether standard output is for a document, and text for standard error.
static LEAVES_STANDARD_OUTPUT: AtomicBool = AtomicBool::new(false);
/// The first thing that went wrong there.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints what follows on standard error: standard output is for a document.
pub(crate) fn leave_standard_output() {
    LEAVES_STANDARD_OUTPUT.store(true, Ordering::Relaxed);
}

/// Prints, with colours on a terminal only. That it failed must not end what is measured:
/// [`take_failure`] has it at the end.
pub(crate) fn say(text: &str) {
    if LEAVES_STANDARD_OUTPUT.load(Ordering::Relaxed) {
        complain(text);
    } else {
        let mut out = anstream::stdout().lock();
        let printed = out.write_all(printable(text).as_bytes());
        check_printed(printed.and_then(|()| out.flush()));
    }
}

/// Leaves out colours where the terminal shows lines only: anstream knows `dumb`, and takes an
/// empty name for that of a terminal with colours.
pub(crate) fn choose_colours() {
    let (out, err) = (io::stdout(), io::stderr());
    if (out.is_terminal() && !is_screen(&out)) || (err.is_terminal() && !is_screen(&err)) {
        anstream::ColorChoice::Never.write_global();
    }
}

/// Remembers that printing failed. A reader that has closed its end is not an error: it may have
/// read enough.
pub(crate) fn check_printed(printed: io::Result<()>) {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            flag_host::lock(&FAILURE).get_or_insert(error);
        }
        _ => {}
    }
}

/// What went wrong on standard output.
pub(crate) fn take_failure() -> Option<io::Error> {
    flag_host::lock(&FAILURE).take()
}

/// The columns of the terminal, if that is where it is printed.
pub(crate) fn width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| usize::from(terminal.size().1))
}

/// The command line as it was typed, so that it can be typed again; without its secrets.
pub(crate) fn command_line() -> Vec<String> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    shareable(std::iter::once("flag-client".to_owned()).chain(words.skip(1)))
}
