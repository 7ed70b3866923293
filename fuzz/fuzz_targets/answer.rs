//! It does not matter in which pieces an answer to a load comes, and what comes behind its end is
//! not counted.
//!
//! The first byte of an input is the number of cuts, of which each takes two bytes; the rest is the
//! answer.
#![no_main]

// The files alone: all of flag-client would take minutes to build.
#[allow(dead_code, reason = "not all of it is looked at here")]
#[path = "../../client/src/content_length.rs"]
mod content_length;
#[allow(dead_code, reason = "not all of it is looked at here")]
#[path = "../../client/src/load/answer.rs"]
mod answer;

use answer::Answer;
use libfuzzer_sys::fuzz_target;

/// The status, the bytes, whether the connection is kept, whether the answer is whole, and whether
/// it is if the connection ends then; none if it is malformed.
type Known = Option<(u16, u64, bool, bool, bool)>;

fuzz_target!(|input: &[u8]| {
    let [cuts, rest @ ..] = input else {
        return;
    };
    let (cuts, data) = rest.split_at(rest.len().min(usize::from(*cuts % 8) * 2));
    let mut ends: Vec<usize> = cuts
        .chunks_exact(2)
        .map(|cut| usize::from(u16::from_be_bytes([cut[0], cut[1]])) % (data.len() + 1))
        .collect();
    ends.extend([0, data.len()]);
    ends.sort_unstable();
    ends.dedup();
    let pieces: Vec<&[u8]> = ends
        .windows(2)
        .map(|ends| &data[ends[0]..ends[1]])
        .collect();
    let known = read(&pieces);
    assert_eq!(known, read(&[data]));
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(known, read(&bytes));

    let Some((status, count, keeps_alive, is_whole, _)) = known else {
        return;
    };
    assert!(count <= data.len() as u64);
    if is_whole {
        // More is none of this answer, and nothing may follow on this connection.
        let more = read(&[data, b"x"]);
        assert_eq!(more, Some((status, count, false, true, true)));
        // A connection is kept only for an answer that ends where the bytes end.
        let before = &data[..data.len() - 1];
        assert!(!keeps_alive || read(&[before]).is_none_or(|known| !known.3));
    }
});

fn read(pieces: &[&[u8]]) -> Known {
    let mut answer = Answer::new(u64::MAX);
    let mut is_whole = false;
    for piece in pieces {
        is_whole = answer.feed(piece).ok()?;
    }
    let (status, bytes, keeps_alive) = (answer.status, answer.bytes, answer.keeps_alive);
    Some((status, bytes, keeps_alive, is_whole, answer.end()))
}
