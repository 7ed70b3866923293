//! Which requests a rule is about, and when: its conditions, every one of which has to hold.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use flags_data::{CountryCode, Resource};
use wildmatch::WildMatch;

use crate::wording::{listed, ordinal, words};
use crate::{Circumstances, ClientHeaders, Known, RequestKey};

/// The conditions of a rule. Without any it is about every request.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Conditions {
    /// One of these countries; if empty, any path.
    pub codes: Vec<CountryCode>,
    /// The canonical path matches this pattern.
    pub path: Option<Pattern>,
    /// One of these methods, in capitals; if empty, any method.
    pub methods: Vec<String>,
    /// Each of these headers, by its name in lower case, has a value that matches.
    pub headers: Vec<(String, Pattern)>,
    /// Only these attempts.
    pub attempts: Option<Attempts>,
    /// Only in this time.
    pub window: Window,
}

/// A pattern for text: `*` matches any text, the empty one and slashes included; `?` matches one
/// character. Case matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(WildMatch);

/// Some of the attempts at a path, which are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempts {
    /// From one to another, both of which are included.
    Range {
        /// The first of them.
        from: NonZeroU32,
        /// The last of them, not before the first; without one, all that follow.
        to: Option<NonZeroU32>,
    },
    /// Each N-th: with 3, the attempts 3, 6, 9 and so on.
    Every(NonZeroU32),
}

impl Attempts {
    /// The first ones, this many.
    pub fn first(count: NonZeroU32) -> Self {
        Self::Range {
            from: NonZeroU32::MIN,
            to: Some(count),
        }
    }

    /// Whether this attempt is one of them.
    pub fn contains(self, attempt: u32) -> bool {
        match self {
            Self::Range { from, to } => {
                from.get() <= attempt && to.is_none_or(|to| attempt <= to.get())
            }
            Self::Every(n) => attempt > 0 && attempt.is_multiple_of(n.get()),
        }
    }
}

impl fmt::Display for Attempts {
    /// In words: `the first 2 attempts`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(NonZeroU32::MIN) => f.write_str("every attempt"),
            Self::Every(n) => write!(f, "every {} attempt", ordinal(n.get())),
            Self::Range { from, to } => match (from.get(), to.map(NonZeroU32::get)) {
                (1, Some(1)) => f.write_str("the first attempt"),
                (1, Some(to)) => write!(f, "the first {to} attempts"),
                (1, None) => f.write_str("every attempt"),
                (from, Some(to)) if from == to => write!(f, "the {} attempt", ordinal(from)),
                (from, Some(to)) => write!(f, "attempts {from} to {to}"),
                (from, None) => write!(f, "every attempt from the {} on", ordinal(from)),
            },
        }
    }
}

/// A time span, counted from the start (or reset) of the server. It includes its start and excludes
/// its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Window {
    /// When it begins.
    pub from: Duration,
    /// Until when; `None` is for ever.
    pub until: Option<Duration>,
}

impl Pattern {
    /// Any text is a pattern.
    pub fn new(pattern: &str) -> Self {
        Self(WildMatch::new(pattern))
    }

    /// Whether the whole of this text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }

    /// Whether a text matches that begins with this prefix and goes on.
    pub(crate) fn matches_below(&self, prefix: &str) -> bool {
        let pattern: Vec<char> = self.to_string().chars().collect();
        // The places in the pattern that may be reached: a star is stayed at, or passed by.
        let passed = |places: Vec<usize>| {
            let mut all = places;
            let mut next = 0;
            while let Some(place) = all.get(next).copied() {
                if pattern.get(place) == Some(&'*') && !all.contains(&(place + 1)) {
                    all.push(place + 1);
                }
                next += 1;
            }
            all
        };
        let mut places = passed(vec![0]);
        for character in prefix.chars() {
            let step = |place: &usize| match pattern.get(*place)? {
                '*' => Some(*place),
                '?' => Some(place + 1),
                own => (*own == character).then_some(place + 1),
            };
            places = passed(places.iter().filter_map(step).collect());
        }
        places.iter().any(|place| *place < pattern.len())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether conditions hold for a request that has not been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// They will.
    Holds,
    /// They will not.
    Fails,
    /// It depends on when the request comes; at the start they hold, or do not.
    DependsOnTime {
        /// Whether they hold at the start.
        at_start: bool,
    },
    /// It depends on this header, of which nothing is known.
    DependsOnHeader(String),
}

impl Conditions {
    /// Whether all of them hold.
    pub(crate) fn hold(&self, request: &RequestKey<'_>, circumstances: &Circumstances<'_>) -> bool {
        self.hold_for(request)
            && self.headers.iter().all(|(name, pattern)| {
                circumstances
                    .headers
                    .value(name)
                    .is_some_and(|value| pattern.matches(value))
            })
            && self.window.holds(circumstances.since_start)
    }

    /// Whether all of them will hold for a request of this client.
    pub(crate) fn certainty(&self, request: &RequestKey<'_>, client: &ClientHeaders) -> Certainty {
        if !self.hold_for(request) {
            return Certainty::Fails;
        }
        let attempt = request.attempt.to_string();
        let mut unknown = None;
        for (name, pattern) in &self.headers {
            let known = match name.as_str() {
                "flag-run" if request.run.is_empty() => Known::Absent,
                "flag-run" => Known::Value(request.run),
                "flag-attempt" if client.numbers_attempts() => Known::Value(&attempt),
                name => client.value(name),
            };
            match known {
                Known::Value(value) if pattern.matches(value) => {}
                Known::Value(_) | Known::Absent => return Certainty::Fails,
                Known::Unknown => unknown = Some(name.clone()),
            }
        }
        if let Some(header) = unknown {
            Certainty::DependsOnHeader(header)
        } else if self.window == Window::default() {
            Certainty::Holds
        } else {
            Certainty::DependsOnTime {
                at_start: self.window.holds(Duration::ZERO),
            }
        }
    }

    /// Whether those hold that depend on the key of the request alone.
    fn hold_for(&self, request: &RequestKey<'_>) -> bool {
        (self.codes.is_empty()
            || Resource::parse(request.path)
                .code()
                .is_some_and(|code| self.codes.contains(&code)))
            && self
                .path
                .as_ref()
                .is_none_or(|pattern| pattern.matches(request.path))
            && (self.methods.is_empty()
                || self.methods.iter().any(|method| method == request.method))
            && self
                .attempts
                .is_none_or(|attempts| attempts.contains(request.attempt))
    }
}

impl Window {
    fn holds(&self, since_start: Duration) -> bool {
        self.from <= since_start && self.until.is_none_or(|until| since_start < until)
    }
}

impl fmt::Display for Conditions {
    /// In words, each with a comma before it; nothing if there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, ", by {}", listed(self.methods.iter().cloned(), "or"))?;
        }
        if !self.codes.is_empty() {
            let codes = self.codes.iter().map(ToString::to_string);
            write!(f, ", for {}", listed(codes, "or"))?;
        }
        if let Some(path) = &self.path {
            write!(f, ", at a path like {path}")?;
        }
        for (name, pattern) in &self.headers {
            write!(f, ", with a header {name} like {pattern}")?;
        }
        if let Some(attempts) = self.attempts {
            write!(f, ", on {attempts}")?;
        }
        match (self.window.from, self.window.until) {
            (Duration::ZERO, None) => Ok(()),
            (from, None) => write!(f, ", from {} after the start on", words(from)),
            (from, Some(until)) => write!(
                f,
                ", from {} to {} after the start",
                words(from),
                words(until)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    struct One(&'static str, &'static str);

    impl Headers for One {
        fn value(&self, name: &str) -> Option<&str> {
            (name == self.0).then_some(self.1)
        }
    }

    fn request(path: &str, attempt: u32) -> RequestKey<'_> {
        RequestKey {
            run: "",
            method: "GET",
            path,
            attempt,
        }
    }

    fn hold(conditions: &Conditions, path: &str) -> bool {
        conditions.hold(&request(path, 1), &Circumstances::default())
    }

    #[test]
    fn a_rule_without_conditions_applies_to_every_request() {
        assert!(hold(&Conditions::default(), "/flags/anything"));
    }

    #[test]
    fn the_country_comes_from_the_path() {
        let conditions = Conditions {
            codes: vec!["BR".parse().unwrap()],
            ..Conditions::default()
        };
        assert!(hold(&conditions, "/flags/br/br.gif"));
        assert!(hold(&conditions, "/flags/br/metadata.json"));
        assert!(!hold(&conditions, "/flags/jp/jp.gif"));
        for no_file in [
            "/flags/b",
            "/flags/br/",
            "/flags/br/jp.gif",
            "/flags/br/br.gif/",
        ] {
            assert!(!hold(&conditions, no_file), "{no_file}");
        }
    }

    #[test]
    fn a_path_must_match_completely() {
        let path = Some(Pattern::new("/flags/*/*.gif"));
        let conditions = Conditions {
            path,
            ..Conditions::default()
        };
        assert!(hold(&conditions, "/flags/br/br.gif"));
        assert!(!hold(&conditions, "/flags/br/metadata.json"));
        assert!(!hold(&conditions, "/flags/br/br.gif.bak"));
    }

    #[test]
    fn attempts_are_a_range_or_every_nth() {
        let number = |n| NonZeroU32::new(n).unwrap();
        let range = |from, to| Attempts::Range {
            from: number(from),
            to: Some(number(to)).filter(|_| to < 100),
        };
        for (attempts, among_ten, words) in [
            (range(1, 1), vec![1], "the first attempt"),
            (
                Attempts::first(number(2)),
                vec![1, 2],
                "the first 2 attempts",
            ),
            (range(2, 4), vec![2, 3, 4], "attempts 2 to 4"),
            (range(3, 3), vec![3], "the 3rd attempt"),
            (range(9, 100), vec![9, 10], "every attempt from the 9th on"),
            (range(1, 100), (1..=10).collect(), "every attempt"),
            (
                Attempts::Every(number(3)),
                vec![3, 6, 9],
                "every 3rd attempt",
            ),
            (
                Attempts::Every(number(1)),
                (1..=10).collect(),
                "every attempt",
            ),
        ] {
            let contained: Vec<u32> = (0..=10).filter(|n| attempts.contains(*n)).collect();
            assert_eq!((contained, &*attempts.to_string()), (among_ten, words));
        }
    }

    #[test]
    fn methods_headers_attempts_and_times_are_matched_too() {
        let get = |conditions: &Conditions, circumstances, attempt| {
            conditions.hold(&request("/flags/br/br.gif", attempt), &circumstances)
        };
        let none = Circumstances::default();
        let head = Conditions {
            methods: vec!["HEAD".to_owned()],
            ..Conditions::default()
        };
        assert!(!get(&head, none, 1));

        let curl = Conditions {
            headers: vec![("user-agent".to_owned(), Pattern::new("curl/*"))],
            ..Conditions::default()
        };
        assert!(!get(&curl, none, 1));
        let headers = &One("user-agent", "curl/8.0");
        assert!(get(&curl, Circumstances { headers, ..none }, 1));
        let headers = &One("user-agent", "python");
        assert!(!get(&curl, Circumstances { headers, ..none }, 1));

        let twice = Conditions {
            attempts: NonZeroU32::new(2).map(Attempts::first),
            ..Conditions::default()
        };
        assert_eq!(
            [1, 2, 3].map(|attempt| get(&twice, none, attempt)),
            [true, true, false]
        );

        let window = Window {
            from: Duration::from_secs(5),
            until: Some(Duration::from_secs(8)),
        };
        let late = Conditions {
            window,
            ..Conditions::default()
        };
        let at = |secs| {
            get(
                &late,
                Circumstances {
                    since_start: Duration::from_secs(secs),
                    ..none
                },
                1,
            )
        };
        assert_eq!([4, 5, 7, 8].map(at), [false, true, true, false]);
    }
}
