//! The body of a response, up to the longest one that the job accepts: no more than that is read or
//! kept, and one that is announced to be longer is not read at all.

use std::error::Error;
use std::io::{self, Read};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;

use crate::download::error::AttemptError;

/// The body, for tasks.
pub(super) async fn collect<B>(body: B, limit: u64) -> Result<Bytes, AttemptError>
where
    B: Body<Data = Bytes>,
    B::Error: Error + Send + Sync + 'static,
{
    check_announced(body.size_hint().lower(), limit)?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        // It is the body's own, or that of the limit.
        Err(error) => Err(match error.downcast::<B::Error>() {
            Ok(error) => (*error).into(),
            Err(_) => AttemptError::too_large(limit),
        }),
    }
}

/// The body, for threads. `announced` is its length, if the head of the response has one, and
/// `failure` is what an error of the library means.
pub(super) fn read(
    body: impl Read,
    announced: Option<u64>,
    limit: u64,
    failure: impl FnOnce(io::Error) -> AttemptError,
) -> Result<Bytes, AttemptError> {
    check_announced(announced.unwrap_or(0), limit)?;
    let mut bytes = Vec::new();
    let mut body = body.take(limit.saturating_add(1));
    body.read_to_end(&mut bytes).map_err(failure)?;
    if bytes.len() as u64 > limit {
        return Err(AttemptError::too_large(limit));
    }
    Ok(bytes.into())
}

fn check_announced(announced: u64, limit: u64) -> Result<(), AttemptError> {
    if announced > limit {
        return Err(AttemptError::too_large(limit));
    }
    Ok(())
}
