//! The progress bar on standard error: there if that is a terminal, and gone when the work is done.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for this many steps; hidden unless standard error is a terminal and `wanted`.
pub fn bar(steps: usize, wanted: bool) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    let template = "{percent:>3}% |{bar:40}| {pos}/{len} [{elapsed}<{eta}]";
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
