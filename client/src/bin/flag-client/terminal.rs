//! The terminal: what is printed there, how wide it is, and Ctrl-C.

use std::io::Write;

use anyhow::Context;
use flag_client::download::CancelToken;

use crate::exit::INTERRUPTED;

/// Prints, with colours on a terminal only. A reader that has closed its end is not an error, and
/// never a reason to panic.
pub(crate) fn say(text: &str) {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok();
}

/// The columns of the terminal, if that is where it is printed.
pub(crate) fn width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| usize::from(terminal.size().1))
}

/// The command line as it was typed, so that it can be typed again.
pub(crate) fn command_line() -> Vec<String> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    std::iter::once("flag-client".to_owned())
        .chain(words.skip(1))
        .collect()
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
