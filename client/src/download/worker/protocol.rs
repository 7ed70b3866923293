//! The protocol between a pool and its worker processes: lines of JSON.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flags_data::{CountryCode, Digest};
use serde::{Deserialize, Serialize};

use crate::download::http::library::Http;
use crate::download::images::{Images, RightImages};
use crate::download::job::{ConnectionOptions, Job};
use crate::download::retry::RetryPolicy;

/// The part of a job that is the same for all attempts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkOrder {
    base_url: String,
    timeout: Duration,
    max_body: u64,
    retry: RetryPolicy,
    connection: ConnectionOptions,
    http: Http,
    images: ImagesOrder,
}

/// [`Images`] as they are sent.
#[derive(Debug, Serialize, Deserialize)]
struct ImagesOrder {
    right: RightOrder,
    folder: Option<PathBuf>,
}

/// [`RightImages`] as they are sent: of a catalogue only the digests.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RightOrder {
    Digests(BTreeMap<CountryCode, [u8; 32]>),
    Named,
}

/// One attempt to make.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) code: CountryCode,
    pub(crate) attempt: u32,
}

impl WorkOrder {
    pub(crate) fn new(http: Http, job: &Job) -> Self {
        let right = &job.images.right;
        let digest = |&code: &CountryCode| Some((code, *right.digest(code)?.as_bytes()));
        Self {
            base_url: job.base_url.clone(),
            timeout: job.timeout,
            max_body: job.max_body,
            retry: job.retry,
            connection: job.connection,
            http,
            images: ImagesOrder {
                right: match right {
                    RightImages::Catalogue(_) | RightImages::Digests(_) => {
                        RightOrder::Digests(job.codes.iter().filter_map(digest).collect())
                    }
                    RightImages::Named => RightOrder::Named,
                },
                folder: job.images.folder.clone(),
            },
        }
    }

    /// The library that the worker uses.
    pub(crate) fn http(&self) -> Http {
        self.http
    }

    /// The job that is described, with these codes.
    pub(crate) fn job(self, codes: Vec<CountryCode>) -> Job {
        let right = match self.images.right {
            RightOrder::Digests(digests) => {
                let digests = digests.into_iter();
                let digests = digests.map(|(code, digest)| (code, Digest::from_bytes(digest)));
                RightImages::Digests(Arc::new(digests.collect()))
            }
            RightOrder::Named => RightImages::Named,
        };
        let images = Images {
            right,
            folder: self.images.folder,
        };
        Job {
            timeout: self.timeout,
            max_body: self.max_body,
            retry: self.retry,
            connection: self.connection,
            images,
            ..Job::new(self.base_url, codes)
        }
    }
}

/// The next value; `None` at the end.
pub(crate) fn read_line<T: for<'de> Deserialize<'de>>(
    input: &mut impl BufRead,
) -> io::Result<Option<T>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}

/// Writes one value in a single write.
pub(crate) fn write_line(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::images::Arrived;

    fn code(text: &str) -> CountryCode {
        text.parse().unwrap()
    }

    #[test]
    fn an_order_carries_everything_an_attempt_depends_on() {
        let job = Job {
            timeout: Duration::from_millis(1500),
            max_body: 1234,
            retry: RetryPolicy {
                retries: 3,
                seed: u64::MAX,
                ..RetryPolicy::default()
            },
            connection: ConnectionOptions {
                keep_alive: false,
                http2: true,
            },
            ..Job::new("http://localhost:8000/flags", vec![code("BR"), code("XX")])
        };
        let text = serde_json::to_string(&WorkOrder::new(Http::Reqwest, &job)).unwrap();
        let order: WorkOrder = serde_json::from_str(&text).unwrap();
        assert_eq!(order.http(), Http::Reqwest);
        let received = order.job(job.codes.clone());
        assert_eq!(received.base_url, job.base_url);
        assert_eq!((received.timeout, received.retry), (job.timeout, job.retry));
        assert_eq!(received.max_body, job.max_body);
        assert_eq!(received.connection, job.connection);

        // A rejected image has the same message, word for word.
        let brazil = flags_data::Catalogue::embedded()
            .get(code("BR"))
            .unwrap()
            .image
            .bytes
            .clone();
        let arrived = |code, image| Arrived {
            code,
            image,
            named: None,
            is_flagbench: false,
        };
        let brazil = arrived(code("BR"), brazil);
        assert_eq!(received.images.accept(&brazil), Ok(()));
        for wrong in ["BR", "XX"] {
            let wrong = arrived(code(wrong), "GIF89a".into());
            assert_eq!(received.images.accept(&wrong), job.images.accept(&wrong));
        }
    }
}
