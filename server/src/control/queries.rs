//! What requests to the control plane say in their path, their query and their body, with its
//! bounds.

use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::fault::is_run;
use crate::scenario::file::MAX_TOML;
use crate::scenario::{MAX_RUN_LEN, Scenario, parse_duration};

/// How long the scenario of a run lasts, if it is not told.
pub(super) const USUAL_TIME: Duration = Duration::from_secs(60 * 60);

/// The longest wait for records.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The most records that are waited for: as many as are kept of a run.
const MOST_RECORDS: usize = crate::record_log::MAX_RECORDS_PER_RUN;

/// How long the body of a request may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a scenario lasts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ForQuery {
    /// For how long, as `30s`, `10m` or `1h`; at most a day. Then the scenario before it comes
    /// back.
    #[serde(rename = "for")]
    #[param(
        rename = "for",
        example = "30s",
        pattern = r"^([0-9]{1,6}ms|[0-9]{1,4}(\.[0-9]{1,3})?s|[0-9]{1,3}m|(1?[0-9]|2[0-4])h)$"
    )]
    lasts: Option<String>,
}

/// How long the scenario of a run lasts, and where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunQuery {
    /// For how long, as `30s`, `10m` or `1h`; at most a day, and an hour if it is not told.
    #[serde(rename = "for")]
    #[param(
        rename = "for",
        example = "30s",
        pattern = r"^([0-9]{1,6}ms|[0-9]{1,4}(\.[0-9]{1,3})?s|[0-9]{1,3}m|(1?[0-9]|2[0-4])h)$"
    )]
    lasts: Option<String>,
    /// The name of a listener; without it, all of them.
    pub(super) listener: Option<String>,
}

/// Which listener.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListenerQuery {
    /// The name of a listener; without it, the first.
    pub(super) listener: Option<String>,
}

/// What to wait for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitQuery {
    /// Waits until there are as many records.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 10_000)]
    count: Option<String>,
    /// How long to wait at most, as `5s`; a minute at most.
    #[param(
        example = "5s",
        pattern = r"^([0-9]{1,4}ms|[0-5]?[0-9](\.[0-9]{1,3})?s|60s|1m)$"
    )]
    wait: Option<String>,
    /// Waits until no response of the run is under way.
    #[param(value_type = Option<bool>)]
    settled: Option<String>,
}

/// The same for a run that the query names.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecordsQuery {
    /// The run; without it, the requests that name none.
    #[param(pattern = r"^[\t -~]{0,128}$")]
    pub(super) run: Option<String>,
    /// Waits until there are as many records.
    #[param(value_type = Option<u32>, minimum = 0, maximum = 10_000)]
    count: Option<String>,
    /// How long to wait at most, as `5s`; a minute at most.
    #[param(
        example = "5s",
        pattern = r"^([0-9]{1,4}ms|[0-5]?[0-9](\.[0-9]{1,3})?s|60s|1m)$"
    )]
    wait: Option<String>,
    /// Waits until no response of the run is under way.
    #[param(value_type = Option<bool>)]
    settled: Option<String>,
}

/// What is waited for, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) count: usize,
    pub(super) settled: bool,
    pub(super) wait: Duration,
}

impl ForQuery {
    /// The time, if it is limited.
    pub(super) fn time(&self) -> Result<Option<Duration>, Problem> {
        time(self.lasts.as_deref())
    }
}

impl RunQuery {
    pub(super) fn time(&self) -> Result<Duration, Problem> {
        Ok(time(self.lasts.as_deref())?.unwrap_or(USUAL_TIME))
    }
}

impl RecordsQuery {
    pub(super) fn wait(self) -> (String, WaitQuery) {
        let Self {
            run,
            count,
            wait,
            settled,
        } = self;
        let rest = WaitQuery {
            count,
            wait,
            settled,
        };
        (run.unwrap_or_default(), rest)
    }
}

impl WaitQuery {
    pub(super) fn wish(&self) -> Result<Wish, Problem> {
        let count = self.count.as_deref().map(|text| {
            let count = number(text).filter(|count| *count <= MOST_RECORDS);
            count.ok_or_else(|| {
                Problem::bad_request(format!("count: give a number from 0 to {MOST_RECORDS}"))
            })
        });
        let settled = self.settled.as_deref().map(|text| {
            bool::from_str(text).map_err(|_| Problem::bad_request("settled: give true or false"))
        });
        let wait = self
            .wait
            .as_deref()
            .map(|text| match duration("wait", text)? {
                wait if wait <= LONGEST_WAIT && !text.contains('h') => Ok(wait),
                _ => Err(Problem::bad_request("wait: give at most 1m")),
            });
        Ok(Wish {
            count: count.transpose()?.unwrap_or_default(),
            settled: settled.transpose()?.unwrap_or_default(),
            wait: wait.transpose()?.unwrap_or_default(),
        })
    }
}

/// A number in digits alone.
fn number(text: &str) -> Option<usize> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn time(text: Option<&str>) -> Result<Option<Duration>, Problem> {
    text.map(|text| duration("for", text)).transpose()
}

/// A duration with one unit, as the description has it.
fn duration(key: &str, text: &str) -> Result<Duration, Problem> {
    let number_len = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.');
    let (number, unit) = text.split_at(number_len.count());
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let longest = match unit {
        "ms" => 6,
        "s" => 4,
        "m" => 3,
        _ => 2,
    };
    let is_fraction =
        |digits: &str| unit == "s" && (1..=3).contains(&digits.len()) && !digits.contains('.');
    let is_plain = matches!(unit, "ms" | "s" | "m" | "h")
        && (1..=longest).contains(&whole.len())
        && fraction.is_none_or(is_fraction);
    let parsed = parse_duration(text).ok().filter(|_| is_plain);
    parsed.ok_or_else(|| {
        Problem::bad_request(format!(
            "{key}: give a time with one unit, as in 500ms, 2.5s, 10m or 1h, at most a day"
        ))
    })
}

/// The name of a run, as the header `flag-run` may have it.
pub(super) fn checked_run(run: &str) -> Result<(), Problem> {
    if is_run(run) {
        Ok(())
    } else {
        Err(Problem::bad_request(format!(
            "run: name it with at most {MAX_RUN_LEN} ASCII characters"
        )))
    }
}

/// The scenario in a body: JSON if it says so, or else TOML.
pub(super) async fn scenario(headers: &HeaderMap, body: Body) -> Result<Scenario, Problem> {
    let text = text(body).await?;
    if text.is_empty() {
        return Err(Problem::bad_request(
            "the body is empty: send a scenario; one without faults is `rule = []`",
        ));
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    match essence.map(str::to_ascii_lowercase).as_deref() {
        Some("application/json") => {
            let json = serde_json::from_str(&text)
                .map_err(|error| Problem::bad_request(format!("the body is not JSON: {error}")))?;
            Scenario::from_json(&json).map_err(Problem::bad_request)
        }
        // What curl and others say if nobody tells them.
        None
        | Some(
            "application/toml"
            | "text/plain"
            | "application/octet-stream"
            | "application/x-www-form-urlencoded",
        ) => Ok(Scenario::from_toml(&text)?),
        Some(other) => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("content-type {other}: send application/toml or application/json"),
        )),
    }
}

async fn text(body: Body) -> Result<String, Problem> {
    let limit = usize::try_from(MAX_TOML).unwrap_or(usize::MAX);
    let collected = Limited::new(body, limit).collect();
    let bytes = match tokio::time::timeout(PATIENCE, collected).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a scenario has at most {limit} bytes: send a shorter one"),
            ));
        }
        Ok(Err(_)) => return Err(Problem::bad_request("the body ended before its end")),
        Err(_) => {
            return Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body has not come in {PATIENCE:?}"),
            ));
        }
    };
    String::from_utf8(bytes.into())
        .map_err(|_| Problem::bad_request("the body is not UTF-8: send text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wish_has_its_bounds() {
        let wish = |count: Option<&str>, wait: Option<&str>, settled: Option<&str>| {
            let [count, wait, settled] = [count, wait, settled].map(|text| text.map(str::to_owned));
            let query = WaitQuery {
                count,
                wait,
                settled,
            };
            query.wish().map_err(|problem| format!("{problem:?}"))
        };
        let nothing = Wish {
            count: 0,
            settled: false,
            wait: Duration::ZERO,
        };
        assert_eq!(wish(None, None, None), Ok(nothing));
        let all = wish(Some("10000"), Some("1m"), Some("true")).unwrap();
        assert_eq!(
            (all.count, all.wait, all.settled),
            (10_000, LONGEST_WAIT, true)
        );
        for (count, wait, settled, key) in [
            (Some("10001"), None, None, "count: "),
            (Some("+1"), None, None, "count: "),
            (Some(""), None, None, "count: "),
            (None, Some("5"), None, "wait: "),
            (None, Some("61s"), None, "wait: "),
            (None, None, Some("yes"), "settled: "),
        ] {
            let problem = wish(count, wait, settled).unwrap_err();
            assert!(problem.contains(key), "{problem}");
        }
        let query = ForQuery {
            lasts: Some("25h".to_owned()),
        };
        assert!(query.time().is_err());
    }
}
