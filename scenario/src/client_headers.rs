//! What is known of the headers of a client before it sends its requests: rules may have conditions
//! on them.

/// The headers that a client sends, as far as they are known before it does.
///
/// `flag-run` is not among them: it is the run of the request.
///
/// ```
/// use flag_scenario::{ClientHeaders, Known};
///
/// let client = ClientHeaders::none().with("user-agent", "curl/8");
/// assert_eq!(client.value("user-agent"), Known::Value("curl/8"));
/// assert_eq!(client.value("x-user"), Known::Absent);
/// assert_eq!(ClientHeaders::unknown().value("x-user"), Known::Unknown);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHeaders {
    /// Names in lower case.
    sent: Vec<(String, String)>,
    /// Those that it may send, with any value.
    possible: Vec<String>,
    /// Whether it sends no others.
    is_complete: bool,
    numbers_attempts: bool,
}

/// What is known of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// It is sent with this value.
    Value(&'a str),
    /// It is not sent.
    Absent,
    /// Neither is known.
    Unknown,
}

impl ClientHeaders {
    /// Those of a client of which nothing is known.
    pub fn unknown() -> Self {
        Self {
            sent: Vec::new(),
            possible: Vec::new(),
            is_complete: false,
            numbers_attempts: false,
        }
    }

    /// Those of a client that sends no headers.
    pub fn none() -> Self {
        Self {
            is_complete: true,
            ..Self::unknown()
        }
    }

    /// The same and this one, with this value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.sent.push((name.to_lowercase(), value.to_owned()));
        self
    }

    /// The same and perhaps this one.
    #[must_use]
    pub fn perhaps(mut self, name: &str) -> Self {
        self.possible.push(name.to_lowercase());
        self
    }

    /// The same with the number of each attempt in `flag-attempt`.
    #[must_use]
    pub fn with_attempts(self) -> Self {
        Self {
            numbers_attempts: true,
            ..self
        }
    }

    /// Whether each attempt has its number in `flag-attempt`.
    pub(crate) fn numbers_attempts(&self) -> bool {
        self.numbers_attempts
    }

    /// What is known of this header, by its name in lower case.
    pub fn value(&self, name: &str) -> Known<'_> {
        let sent = self.sent.iter().find(|(sent, _)| sent == name);
        match sent {
            Some((_, value)) => Known::Value(value),
            None if !self.is_complete || self.possible.iter().any(|other| other == name) => {
                Known::Unknown
            }
            None => Known::Absent,
        }
    }
}
