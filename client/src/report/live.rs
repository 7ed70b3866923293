//! The live view of a load, on the whole terminal: progress, rate, percentiles so far, and errors.
//!
//! It draws what it is given and measures nothing. It uses the terminal's alternate screen, so the
//! previous content returns when the view is dropped.

use std::collections::VecDeque;
use std::io::{self, Stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Gauge, Paragraph, Row, Sparkline, Table};
use ratatui::{Frame, Terminal};

use super::format::{NONE, bounds, percent, short};
use crate::load::recorder::Recorder;
use crate::load::{Pace, Progress};
use crate::result::{CensoredTimes, LoadJob};

/// Whether the alternate screen is shown.
static OPEN: AtomicBool = AtomicBool::new(false);

/// The number of rates that are kept: no terminal is wider.
const HISTORY: usize = 1000;

/// The view on a terminal.
#[derive(Debug)]
pub struct LiveView {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    picture: Picture,
}

impl LiveView {
    /// Opens the view on the terminal of standard error.
    ///
    /// # Errors
    /// When it is not a terminal, or the terminal reports an error.
    pub fn open(title: &str, job: &LoadJob) -> io::Result<Self> {
        let view = Self {
            terminal: Terminal::new(CrosstermBackend::new(io::stderr()))?,
            picture: Picture::new(title, job),
        };
        OPEN.store(true, Ordering::SeqCst);
        execute!(io::stderr(), EnterAlternateScreen)?; // an error drops the view, which restores the terminal
        Ok(view)
    }

    /// Draws it.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn show(&mut self, progress: &Progress<'_>) -> io::Result<()> {
        self.picture.remember(progress);
        let picture = &self.picture;
        self.terminal.draw(|frame| picture.draw(frame, progress))?;
        Ok(())
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        restore();
    }
}

/// Restores the terminal if a view is open. Also for exits that drop nothing.
pub fn restore() {
    if OPEN.swap(false, Ordering::SeqCst) {
        execute!(io::stderr(), LeaveAlternateScreen, Show).ok();
    }
}

/// What does not change while the load runs, and the rates so far.
#[derive(Debug)]
struct Picture {
    title: String,
    pace: Pace,
    requests: Option<u64>,
    duration: Option<Duration>,
    rates: VecDeque<u64>,
}

impl Picture {
    fn new(title: &str, job: &LoadJob) -> Self {
        Self {
            title: title.to_owned(),
            pace: job.rate.map_or(Pace::Closed, |rate| Pace::Open { rate }),
            requests: job.requests,
            duration: job.duration,
            rates: VecDeque::new(),
        }
    }

    fn remember(&mut self, progress: &Progress<'_>) {
        if progress.elapsed.is_some() {
            self.rates.push_front(rate(progress) as u64);
            self.rates.truncate(HISTORY);
        }
    }

    fn draw(&self, frame: &mut Frame<'_>, progress: &Progress<'_>) {
        let [head, gauge, rates, times, rest] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(8),
            Constraint::Length(7),
            Constraint::Min(0),
        ])
        .areas(frame.area());
        frame.render_widget(Line::from(self.title.as_str()).bold(), head);
        frame.render_widget(self.gauge(progress), gauge);
        frame.render_widget(self.rates(progress), rates);
        frame.render_widget(self.times(progress), times);
        frame.render_widget(endings(progress), rest);
    }

    fn gauge(&self, progress: &Progress<'_>) -> Gauge<'static> {
        let (share, label) = match progress.elapsed {
            None => (0.0, "warming up".to_owned()),
            Some(elapsed) => {
                let (done, all) = match (self.requests, self.duration) {
                    (Some(all), _) => (progress.total.requests() as f64, all as f64),
                    (None, all) => (elapsed.as_secs_f64(), all.unwrap_or_default().as_secs_f64()),
                };
                let share = (done / all.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
                let label = format!("{:.1} s, {}", elapsed.as_secs_f64(), percent(share));
                (share, label)
            }
        };
        Gauge::default()
            .ratio(share)
            .label(label)
            .gauge_style(Style::new().cyan())
    }

    fn rates(&self, progress: &Progress<'_>) -> Sparkline<'_> {
        let wanted = match self.pace {
            Pace::Closed => String::new(),
            Pace::Open { rate } => format!(" of {rate}/s wanted"),
        };
        let title = format!(
            " {:.0} requests/s{wanted}, {} in flight ",
            rate(progress),
            progress.in_flight
        );
        // The newest is at the right edge, and older ones move to the left.
        Sparkline::default()
            .block(Block::bordered().title(title))
            .direction(ratatui::widgets::RenderDirection::RightToLeft)
            .data(self.rates.iter().copied())
            .style(Style::new().cyan())
    }

    fn times(&self, progress: &Progress<'_>) -> Table<'static> {
        const PERCENTILES: [(&str, f64); 5] = [
            ("p50", 50.0),
            ("p90", 90.0),
            ("p99", 99.0),
            ("p99.9", 99.9),
            ("max", 100.0),
        ];
        let Recorder { failed, lag, .. } = progress.total;
        let exact = |times: &Histogram<u64>| {
            PERCENTILES.map(|(_, percent)| {
                if times.is_empty() {
                    NONE.to_owned()
                } else {
                    short(Duration::from_nanos(times.value_at_percentile(percent)))
                }
            })
        };
        let ranked = |times: &CensoredTimes| {
            let cell = |(_, percent)| times.percentile(percent).map_or(NONE.to_owned(), bounds);
            PERCENTILES.map(cell)
        };
        let mut rows = Vec::new();
        if self.pace != Pace::Closed {
            rows.push(("response", ranked(&progress.total.response())));
        }
        rows.push(("service", ranked(&progress.total.service())));
        rows.push(("lag", exact(lag)));
        if !failed.response.is_empty() {
            rows.push(("failed", exact(&failed.response)));
        }
        let rows = rows
            .into_iter()
            .map(|(name, cells)| Row::new([name.to_owned()].into_iter().chain(cells)));
        let names = PERCENTILES.map(|(name, _)| name);
        Table::new(rows, [Constraint::Length(11); 6])
            .header(Row::new(["time"].into_iter().chain(names)).bold())
            .block(Block::bordered().title(" so far "))
    }
}

/// How requests ended.
fn endings(progress: &Progress<'_>) -> Paragraph<'static> {
    let total = progress.total;
    let statuses = total.statuses.iter().map(|(status, count)| {
        let line = Line::from(format!("status {status}: {count}"));
        let is_right = *status < 400 || total.planned_statuses.get(status) == Some(count);
        if is_right { line } else { line.red() }
    });
    let failures = total
        .failures
        .iter()
        .map(|(failure, count)| Line::from(format!("{}: {count}", failure.name())).red());
    Paragraph::new(statuses.chain(failures).collect::<Vec<_>>())
}

fn rate(progress: &Progress<'_>) -> f64 {
    let seconds = progress.recent_time.as_secs_f64().max(f64::MIN_POSITIVE);
    progress.recent.requests() as f64 / seconds
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use ratatui::backend::TestBackend;

    use super::*;
    use crate::load::recorder::{Exchange, RequestOutcome};
    use crate::result::Failure;

    fn job(rate: Option<f64>) -> LoadJob {
        LoadJob {
            paths: 1,
            seed: 0,
            connections: NonZeroUsize::MIN,
            threads: NonZeroUsize::MIN,
            rate,
            requests: None,
            duration: Some(Duration::from_secs(10)),
            warmup: Duration::ZERO,
            timeout: Duration::from_secs(10),
            max_body_bytes: None,
            keep_alive: true,
            run: None,
        }
    }

    fn screen(picture: &Picture, progress: &Progress<'_>) -> String {
        let mut terminal = Terminal::new(TestBackend::new(72, 20)).unwrap();
        terminal
            .draw(|frame| picture.draw(frame, progress))
            .unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_screen_shows_the_rate_the_percentiles_and_the_errors() {
        let mut recorder = Recorder::default();
        for number in 1..=100 {
            let outcome = match number {
                99 => RequestOutcome::Status(503),
                100 => RequestOutcome::Failed(Failure::Timeout),
                _ => RequestOutcome::Status(200),
            };
            let service = Duration::from_millis(number);
            recorder.record(&Exchange {
                outcome,
                service,
                response: service * 2,
                lag: Duration::from_micros(5),
                wait: Duration::ZERO,
                ended: service,
                is_early: false,
                bytes: 10,
            });
        }
        let mut picture = Picture::new("load of http://localhost:8000/flags", &job(Some(500.0)));
        let progress = |elapsed| Progress {
            elapsed,
            in_flight: 7,
            total: &recorder,
            recent: &recorder,
            recent_time: Duration::from_millis(200),
        };
        picture.remember(&progress(Some(Duration::from_secs(4))));
        insta::assert_snapshot!(screen(&picture, &progress(Some(Duration::from_secs(4)))));
    }

    #[test]
    fn before_the_first_answer_there_are_no_figures() {
        let nothing = Recorder::default();
        let mut picture = Picture::new("load", &job(None));
        let progress = Progress {
            elapsed: None,
            in_flight: 1,
            total: &nothing,
            recent: &nothing,
            recent_time: Duration::ZERO,
        };
        picture.remember(&progress);
        let screen = screen(&picture, &progress);
        assert!(screen.contains("warming up"), "{screen}");
        assert!(picture.rates.is_empty());
    }
}
