//! What the control plane shows: of listeners and of records.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flag_host::clock;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::record::{AttemptFrom, Protocol, ReceivedRequest, Record};
use crate::scenario::Scenario;

/// A listener.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListenerView {
    /// Its name.
    #[schema(example = "local")]
    pub(super) name: String,
    /// Its root, without a slash at the end.
    #[schema(example = "http://127.0.0.1:8000")]
    pub(super) url: String,
    /// The seed of its scenario.
    pub(super) seed: u64,
    /// Its scenario, with the keys of a scenario file.
    #[schema(value_type = Object)]
    pub(super) scenario: Value,
    /// In how many milliseconds the scenario before it comes back; null if it stays.
    #[schema(required = true)]
    pub(super) ends_in_ms: Option<f64>,
}

/// All listeners.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListenersView {
    /// In the order of the configuration.
    pub(super) listeners: Vec<ListenerView>,
}

/// The records of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordsView {
    /// Whether there was what was waited for.
    pub(super) complete: bool,
    /// By listener, and on each in the order in which the responses ended.
    pub(super) records: Vec<RecordView>,
}

/// One request: what was decided, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordView {
    /// The name of the listener.
    #[schema(example = "local")]
    pub(super) listener: String,
    /// When its head had arrived, in milliseconds since 1970.
    pub(super) received_unix_ms: f64,
    /// From then until all was over, in milliseconds.
    pub(super) took_ms: f64,
    /// The version of HTTP.
    #[schema(value_type = ProtocolName)]
    pub(super) protocol: Protocol,
    /// The number of its connection, from 1, in the order in which the listener accepted them.
    pub(super) connection: u64,
    /// Its number on that connection, from 1.
    pub(super) number: u32,
    /// Who numbered the attempt.
    #[schema(value_type = NumberedBy)]
    pub(super) attempt_from: AttemptFrom,
    /// What follows the `?` of the target; null if it has none.
    #[schema(required = true)]
    pub(super) query: Option<Box<str>>,
    /// Name and value of each header. Names are in lower case; the values of `authorization`,
    /// `cookie` and `proxy-authorization` are replaced by their length.
    #[schema(example = json!([["user-agent", "curl/8.0"], ["authorization", "(10 bytes)"]]))]
    pub(super) headers: Vec<(String, String)>,
    /// The body of an upload; null for other requests, whose bodies are not read.
    #[schema(required = true)]
    pub(super) body: Option<BodyView>,
    /// The run, the method, the canonical path, the attempt, the hop of a chain of redirects, the
    /// plan, what was sent, and how much later than planned: as in the decision log.
    #[serde(flatten)]
    #[schema(value_type = RecordFields)]
    pub(super) record: Record,
}

/// A body that was read.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BodyView {
    /// Its length.
    bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
}

/// A version of HTTP.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum ProtocolName {
    /// HTTP/1.0.
    #[serde(rename = "HTTP/1.0")]
    Http10,
    /// HTTP/1.1.
    #[serde(rename = "HTTP/1.1")]
    Http11,
    /// HTTP/2.
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// Who numbered an attempt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum NumberedBy {
    /// Nobody: the request meets no faults, or was refused.
    None,
    /// The client, with the header `flag-attempt`.
    Header,
    /// The server counted.
    Counted,
    /// The scenario: every attempt is the first.
    Fixed,
    /// The redirect that led to the request.
    Redirect,
}

/// The fields of a record, as the decision log has them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordFields {
    /// The run.
    run: String,
    /// The method.
    #[schema(example = "GET")]
    method: String,
    /// The canonical path.
    #[schema(example = "/flags/br/br.gif")]
    path: String,
    /// The attempt; 0 for a request that meets no faults, or was refused.
    attempt: u32,
    /// 0, or the place in a chain of redirects.
    hop: u32,
    /// What was decided.
    #[schema(value_type = Object)]
    plan: Value,
    /// What was sent.
    sent: SentFields,
    /// How much later than planned the response began, in milliseconds; null if it never began.
    #[schema(required = true)]
    late_ms: Option<f64>,
}

/// What was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SentFields {
    /// The status, if there was a head.
    #[schema(required = true)]
    status: Option<u16>,
    /// The bytes of the body that were handed to the connection.
    bytes: u64,
    /// How it ended.
    end: EndName,
}

/// How a response ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum EndName {
    /// All of it was handed to the connection.
    Whole,
    /// With a TCP RST.
    Reset,
    /// With a FIN.
    Closed,
    /// With bytes that are not HTTP.
    Garbage,
    /// The client left before that, or the server stopped.
    Left,
}

impl RecordView {
    pub(super) fn of(listener: &str, record: Arc<Record>) -> Self {
        let received = since_1970(record.times.received);
        let mut record = Arc::unwrap_or_clone(record);
        let ReceivedRequest {
            protocol,
            connection,
            number,
            attempt_from,
            query,
            headers,
            body,
        } = std::mem::take(&mut record.request);
        let took = (record.times.ended).saturating_duration_since(record.times.received);
        Self {
            listener: listener.to_owned(),
            received_unix_ms: received.as_secs_f64() * 1e3,
            took_ms: took.as_secs_f64() * 1e3,
            protocol,
            connection,
            number,
            attempt_from,
            query,
            headers: (headers.iter())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            body: body.map(|body| BodyView {
                bytes: body.bytes,
                sha256: body.sha256.to_string(),
            }),
            record,
        }
    }
}

/// This moment by the clock of the system: always the same, also if somebody sets that clock.
fn since_1970(moment: Instant) -> Duration {
    static SAME_MOMENT: OnceLock<(Duration, Instant)> = OnceLock::new();
    let (time, instant) = *SAME_MOMENT.get_or_init(|| {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        (time.unwrap_or_default(), clock::now())
    });
    let earlier = instant.saturating_duration_since(moment);
    (time + moment.saturating_duration_since(instant)).saturating_sub(earlier)
}

impl ListenerView {
    pub(super) fn of(name: &str, url: &str, scenario: &Scenario, ends_in_ms: Option<f64>) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            seed: scenario.seed(),
            scenario: scenario.to_json(),
            ends_in_ms,
        }
    }
}
