//! What every request of a run will get and how long it will take, computed before the run.
//!
//! Pure: it asks the planner, and computes. It leaves out what depends on other requests or on the
//! clock (capacity, time windows) or what only the client knows (headers); [`Forecast::notes`]
//! lists that.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use flags_data::{CountryCode, Resource};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;

use crate::wording::{counted, listed};
use crate::{Content, Millis, OptionalMillis, Plan, Planner, RequestKey, Scenario, Window};

/// What to compute.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// What the server does to its clients.
    pub scenario: &'a Scenario,
    /// The name of the scenario.
    pub name: &'a str,
    /// The flags, in the order in which they are requested.
    pub codes: &'a [CountryCode],
    /// How many attempts at each.
    pub attempts: NonZeroU32,
    /// The value of the header `flag-run`, or nothing.
    pub run: &'a str,
    /// Whether the metadata of each flag is requested too, after its image.
    pub metadata: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Forecast {
    /// Distinguishes it from the other documents of this project.
    pub kind: ForecastKind,
    /// The version of the shape.
    pub schema_version: u32,
    /// The name of the scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// The value of the header `flag-run`, or nothing.
    pub run: String,
    /// What cannot be known, and what was assumed of it: a sentence each.
    pub notes: Vec<String>,
    /// The best possible times of the first attempts, for growing numbers of workers.
    pub ideal: Vec<Ideal>,
    /// The requests, in the order in which they are made, all attempts at one path after another.
    pub entries: Vec<Entry>,
}

/// Says what a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForecastKind {
    /// A forecast.
    Plan,
}

/// One request, and what it will get.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[non_exhaustive]
pub struct Entry {
    /// The country.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub code: CountryCode,
    /// The canonical path.
    pub path: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Whether there is such a flag; if not, a response without an ending is a 404.
    pub exists: bool,
    /// From the request to the end of the response, for a client and a network that take no time;
    /// none if the response never ends. In JSON: milliseconds.
    #[serde(rename = "time_ms", with = "OptionalMillis")]
    pub time: Option<Duration>,
    /// The bytes of the body that are sent.
    pub bytes: u64,
    /// What was decided.
    pub plan: Plan,
}

/// How long a perfect client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Ideal {
    /// The requests under way at one time.
    pub workers: NonZeroUsize,
    /// From the first request to the end of the last response. In JSON: milliseconds.
    #[serde(rename = "makespan_ms", with = "Millis")]
    pub makespan: Duration,
}

/// The time that a perfect client with this many workers needs for these delays: the *makespan*
/// when each delay, in the given order, goes to the first worker that is free, and nothing else
/// takes any time.
///
/// This is list scheduling (R. L. Graham, "Bounds for certain multiprocessing anomalies", 1966) in
/// the order of the job, as all the strategies take the codes. Another order might be faster still.
pub fn ideal_makespan(
    delays: impl IntoIterator<Item = Duration>,
    workers: NonZeroUsize,
) -> Duration {
    let mut free_at: BinaryHeap<Reverse<Duration>> =
        std::iter::repeat_n(Reverse(Duration::ZERO), workers.get()).collect();
    let mut makespan = Duration::ZERO;
    for delay in delays {
        let Some(Reverse(start)) = free_at.pop() else {
            break;
        };
        let end = start.saturating_add(delay);
        makespan = makespan.max(end);
        free_at.push(Reverse(end));
    }
    makespan
}

/// What one GET will take, and what it will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// The delay, the paced time of the bytes that are sent, and the time of silence; `None` for
    /// silence without end.
    pub time: Option<Duration>,
    /// The status, if there is a head.
    pub status: Option<u16>,
    /// The bytes of the body that are sent.
    pub bytes: u64,
    /// Whether there is a response that is complete.
    pub is_whole: bool,
    /// Whether the bytes that are sent are those of the file.
    pub is_right: bool,
}

impl Outlook {
    /// The outlook of this plan for this request, where a response without an ending would be
    /// `content`.
    pub fn of(plan: &Plan, request: &RequestKey<'_>, content: Content) -> Self {
        let answer = plan.answer(request, content);
        let len = match &plan.ending {
            Some(ending) => ending.content(request, content).len,
            None => content.len,
        };
        let time = answer.hold().map(|hold| {
            plan.delay
                .saturating_add(plan.pace.due(len, answer.sent))
                .saturating_add(hold)
        });
        Self {
            time,
            status: answer.status,
            bytes: answer.sent,
            is_whole: answer.is_whole,
            is_right: answer.is_right,
        }
    }
}

impl Forecast {
    /// The version of its shape.
    pub const SCHEMA_VERSION: u32 = 1;

    /// The numbers of workers for which the ideal time is computed; those beyond the number of
    /// requests are left out.
    const WORKERS: [usize; 9] = [1, 2, 5, 10, 30, 100, 200, 500, 1000];

    /// Answers the question. The bodies are those of the embedded flags.
    pub fn new(question: &Question<'_>) -> Self {
        let planner = Planner::new(question.scenario);
        let mut entries = Vec::new();
        for &code in question.codes {
            let image = Some(Resource::image(code));
            let metadata = question.metadata.then(|| Resource::metadata(code));
            for resource in image.into_iter().chain(metadata) {
                let content = Content::of(&resource);
                for attempt in 1..=question.attempts.get() {
                    let request = RequestKey {
                        run: question.run,
                        method: "GET",
                        path: resource.path(),
                        attempt,
                    };
                    let plan = planner.plan(&request);
                    let Outlook { time, bytes, .. } = Outlook::of(&plan, &request, content);
                    entries.push(Entry {
                        code,
                        path: resource.to_string(),
                        attempt,
                        exists: content.is_file,
                        time,
                        bytes,
                        plan,
                    });
                }
            }
        }
        Self {
            kind: ForecastKind::Plan,
            schema_version: Self::SCHEMA_VERSION,
            scenario: question.name.to_owned(),
            seed: question.scenario.seed(),
            run: question.run.to_owned(),
            notes: notes(question.scenario, &entries),
            ideal: ideal(&entries),
            entries,
        }
    }

    /// The answer as one JSON document.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and numbers can be written") + "\n"
    }
}

fn ideal(entries: &[Entry]) -> Vec<Ideal> {
    let firsts = entries.iter().filter(|entry| entry.attempt == 1);
    let times: Vec<Duration> = firsts.filter_map(|entry| entry.time).collect();
    let Some(all) = NonZeroUsize::new(times.len()) else {
        return Vec::new();
    };
    let fewer = Forecast::WORKERS
        .into_iter()
        .filter_map(NonZeroUsize::new)
        .filter(|workers| *workers < all);
    let ideal = |workers| Ideal {
        workers,
        makespan: ideal_makespan(times.iter().copied(), workers),
    };
    fewer.chain([all]).map(ideal).collect()
}

fn notes(scenario: &Scenario, entries: &[Entry]) -> Vec<String> {
    let mut notes = Vec::new();
    for rule in scenario.rules() {
        let (name, conditions) = (rule.name(), rule.conditions());
        if !conditions.headers.is_empty() {
            let headers = conditions.headers.iter().map(|(header, _)| header.clone());
            notes.push(format!(
                "the rule {name} asks for the header {}, which only a request has: here it never fires",
                listed(headers, "and")
            ));
        } else if conditions.window != Window::default() {
            let fires = if conditions.window.from.is_zero() {
                "as if it were open"
            } else {
                "as if it were not open yet"
            };
            notes.push(format!(
                "the rule {name} has a time window: this is computed {fires}"
            ));
        }
    }
    if let Some(capacity) = scenario.capacity() {
        notes.push(format!(
            "the server works on {} at a time: what that takes depends on the other requests, and is in none of these times",
            counted(capacity.workers.get().into(), "request")
        ));
    }
    let endless = entries
        .iter()
        .filter(|entry| entry.attempt == 1 && entry.time.is_none())
        .count();
    if endless > 0 {
        let requests = counted(endless as u64, "first attempt");
        notes.push(format!(
            "{requests} would last for ever (∞), and the ideal times leave that out"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(list: &[u64]) -> Vec<Duration> {
        list.iter().copied().map(Duration::from_secs).collect()
    }

    fn workers(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn forecast(toml: &str, codes: &[&str]) -> Forecast {
        let codes: Vec<CountryCode> = codes.iter().map(|code| code.parse().unwrap()).collect();
        Forecast::new(&Question {
            scenario: &Scenario::from_toml(toml).unwrap(),
            name: "test",
            codes: &codes,
            attempts: NonZeroU32::MIN,
            run: "",
            metadata: false,
        })
    }

    /// The time of one download of Brazil's flag under one rule of 100 ms delay and this one.
    fn time(rule: &str) -> Option<Duration> {
        let toml = format!(
            "rule = [{{ fault = \"latency\", distribution = {{ fixed = \"100ms\" }} }}, {{ {rule} }}]"
        );
        forecast(&toml, &["BR"]).entries[0].time
    }

    /// By hand, two workers: 3→A (0–3), 1→B (0–1), 4→B (1–5), 1→A (3–4), 5→A (4–9), 2→B (5–7).
    #[test]
    fn the_ideal_makespan_is_that_of_a_schedule_made_by_hand() {
        let delays = secs(&[3, 1, 4, 1, 5, 2]);
        for (count, ideal) in [(1, 16), (2, 9), (6, 5), (1000, 5)] {
            assert_eq!(
                ideal_makespan(delays.clone(), workers(count)),
                Duration::from_secs(ideal)
            );
        }
        assert_eq!(ideal_makespan([], workers(3)), Duration::ZERO);
    }

    #[test]
    fn the_time_of_a_download_is_its_delay_and_the_pace_of_what_is_sent_and_silence() {
        let len = Content::of(&Resource::image("BR".parse().unwrap())).len;
        let after = |millis| Some(Duration::from_millis(millis));
        let paced = |bytes: u64| Some(Duration::from_millis(100) + Duration::from_millis(bytes));
        assert_eq!(time("fault = \"close\""), after(100));
        assert_eq!(time("fault = \"garbage\""), after(100));
        assert_eq!(time("fault = \"corrupt\""), after(100));
        assert_eq!(time("fault = \"redirect\", hops = 3"), after(100));
        assert_eq!(time("fault = \"stall\", hold = \"1s\""), after(1100));
        assert_eq!(time("fault = \"stall\""), None);
        assert_eq!(time("fault = \"bandwidth\", rate = \"1kB\""), paced(len));
        assert_eq!(
            time("fault = \"dribble\", chunks = 3, over = \"1s\""),
            after(1100)
        );
        assert_eq!(
            time("fault = \"dribble\", chunks = 1, over = \"1s\""),
            after(100)
        );
        let with_rate = |rule: &str| {
            time(&format!(
                "{rule} }}, {{ fault = \"bandwidth\", rate = \"1kB\""
            ))
        };
        assert_eq!(
            with_rate("fault = \"truncate\", after = \"50B\""),
            paced(50)
        );
        assert_eq!(with_rate("fault = \"reset\", after = \"50B\""), paced(50));
        assert_eq!(with_rate("fault = \"reset\""), after(100));
        assert_eq!(
            with_rate("fault = \"stall\", after = \"50B\", hold = \"1s\""),
            paced(1050)
        );
        assert_eq!(
            with_rate("fault = \"status\", status = 503, body = \"0123456789\""),
            paced(10)
        );
        assert_eq!(with_rate("fault = \"status\", status = 204"), after(100));
    }

    proptest! {
        #[test]
        fn no_schedule_beats_its_longest_delay_or_its_share_of_the_work(
            millis in proptest::collection::vec(0_u64..5000, 1..200),
            count in 1_usize..64,
        ) {
            let delays: Vec<Duration> = millis.into_iter().map(Duration::from_millis).collect();
            let ideal = ideal_makespan(delays.clone(), workers(count));
            let longest = *delays.iter().max().unwrap();
            let share = delays.iter().sum::<Duration>() / u32::try_from(count).unwrap();
            prop_assert!(ideal >= longest && ideal >= share);
            prop_assert!(ideal <= share + longest, "Graham's bound");
        }
    }
}
