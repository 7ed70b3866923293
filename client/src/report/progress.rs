//! The progress bar on standard error: shown only on a terminal, and cleared at the end.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flag_cli::complain;
use flag_host::lock;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for this many steps; hidden unless standard error is a terminal and `wanted`.
pub fn bar(steps: usize, wanted: bool) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    styled(
        bar,
        "{percent:>3}% |{bar:40}| {pos}/{len} [{elapsed}<{eta}]",
    )
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    bar.with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

/// The bar of a race. Its steps are milliseconds of the time that each round is expected to take,
/// so that the time left is right although the strategies take very different times.
#[derive(Debug, Clone)]
pub struct RaceBar {
    bar: ProgressBar,
    current: Arc<Mutex<CurrentRound>>,
}

/// The round that is under way.
#[derive(Debug, Default)]
struct CurrentRound {
    /// The steps of the rounds before it.
    base: u64,
    /// Its own steps.
    steps: u64,
    /// Its downloads that have ended, and all of them.
    done: usize,
    downloads: usize,
}

impl RaceBar {
    /// A bar for rounds of this many downloads.
    pub fn new(downloads: usize, wanted: bool) -> Self {
        let bar = styled(
            bar(0, wanted),
            "{percent:>3}% |{bar:40}| {msg} [{elapsed}<{eta}]",
        );
        let current = CurrentRound {
            downloads,
            ..CurrentRound::default()
        };
        Self {
            bar,
            current: Arc::new(Mutex::new(current)),
        }
    }

    /// A round that takes `steps` begins; with it and those before, there will be `total`.
    pub fn begin_round(&self, series: &str, steps: Duration, total: Duration) {
        let mut current = lock(&self.current);
        current.base += current.steps;
        (current.steps, current.done) = (steps.as_millis() as u64, 0);
        self.bar.set_length(total.as_millis() as u64);
        self.bar.set_position(current.base);
        self.bar.set_message(series.to_owned());
    }

    /// A download has ended.
    pub fn advance(&self) {
        let mut current = lock(&self.current);
        current.done += 1;
        let share = current.done as f64 / current.downloads.max(1) as f64;
        self.bar
            .set_position(current.base + (current.steps as f64 * share) as u64);
    }

    /// Clears the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a line to standard error, above the bar.
    pub fn print_above(&self, line: &str) {
        self.bar.suspend(|| complain(&format!("{line}\n")));
    }
}
