//! The terminal: what is printed there, how wide it is, and Ctrl-C.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use flag_cli::{printable, shareable};
use flag_client::download::CancelToken;

use crate::exit::INTERRUPTED;

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
    let text = printable(text);
    let print = |out: &mut dyn Write| out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if LEAVES_STANDARD_OUTPUT.load(Ordering::Relaxed) {
        print(&mut anstream::stderr().lock()).ok();
    } else {
        check_printed(print(&mut anstream::stdout().lock()));
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

/// The first Ctrl-C ends the work in good order, the second at once. To be called once.
pub(crate) fn cancel_on_ctrl_c() -> anyhow::Result<CancelToken> {
    let requested = CancelToken::default();
    let cancel = requested.clone();
    ctrlc::set_handler(move || {
        if cancel.is_requested() {
            #[cfg(feature = "terminal")]
            flag_client::report::live::restore();
            #[allow(
                clippy::exit,
                reason = "the main thread may be waiting for a server that never answers"
            )]
            std::process::exit(INTERRUPTED.into());
        }
        cancel.request();
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(requested)
}

/// Lets a worker process survive Ctrl-C: the process that feeds it ends the work in good order.
pub(crate) fn ignore_ctrl_c() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {}).context("cannot listen for Ctrl-C")
}
