//! The progress bar on standard error: there if that is a terminal, and gone when the work is done.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    lap: Arc<Mutex<Lap>>,
}

/// The round that is under way.
#[derive(Debug, Default)]
struct Lap {
    /// The steps before it.
    base: u64,
    /// Its own.
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
        let lap = Lap {
            downloads,
            ..Lap::default()
        };
        Self {
            bar,
            lap: Arc::new(Mutex::new(lap)),
        }
    }

    /// A round that takes `steps` begins; with it and those before, there will be `total`.
    pub fn begins(&self, series: &str, steps: Duration, total: Duration) {
        let mut lap = lock(&self.lap);
        lap.base += lap.steps;
        (lap.steps, lap.done) = (steps.as_millis() as u64, 0);
        self.bar.set_length(total.as_millis() as u64);
        self.bar.set_position(lap.base);
        self.bar.set_message(series.to_owned());
    }

    /// A download has ended.
    pub fn advances(&self) {
        let mut lap = lock(&self.lap);
        lap.done += 1;
        let share = lap.done as f64 / lap.downloads.max(1) as f64;
        self.bar
            .set_position(lap.base + (lap.steps as f64 * share) as u64);
    }

    /// It is over.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a line to standard error, above the bar.
    pub fn tell(&self, line: &str) {
        self.bar.suspend(|| anstream::eprintln!("{line}"));
    }
}
