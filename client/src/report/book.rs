//! The output of the book's second edition, which `flag-client get` prints on standard output.

use std::fmt::Write;
use std::time::Duration;

use flags_data::CountryCode;

use super::format::{list_codes, plural};
use crate::download::{Outcome, Sample};

/// What is printed before the downloads.
pub fn opening(label: &str, base_url: &str, codes: &[CountryCode], connections: usize) -> String {
    let count = codes.len();
    let connections = match connections {
        1 => "1 connection will be used.".to_owned(),
        many => format!("{many} concurrent connections will be used."),
    };
    format!(
        "{label} site: {base_url}\nSearching for {count} {flags}: {codes}\n{connections}\n",
        flags = plural(count, "flag"),
        codes = list_codes(codes),
    )
}

/// What is printed after them. A download counts as its last attempt.
pub fn closing(samples: &[Sample], elapsed: Duration) -> String {
    let downloaded = count(samples, |outcome| outcome == Outcome::Downloaded);
    let not_found = count(samples, |outcome| outcome == Outcome::NotFound);
    let errors = count(samples, Outcome::is_error);

    let mut text = format!(
        "{}\n{downloaded:3} {} downloaded.\n",
        "-".repeat(20),
        plural(downloaded, "flag")
    );
    if not_found > 0 {
        let _ = writeln!(text, "{not_found:3} not found."); // writing to a String cannot fail
    }
    if errors > 0 {
        let _ = writeln!(text, "{errors:3} {}.", plural(errors, "error"));
    }
    let _ = writeln!(text, "Elapsed time: {:.2}s", elapsed.as_secs_f64());
    text
}

/// What `--verbose` prints for each attempt.
pub fn line(sample: &Sample, image_url: &str) -> String {
    let code = sample.code;
    match (sample.outcome, &sample.error) {
        (_, error) if !sample.is_last() => format!(
            "{code} retry {}: {}",
            sample.attempt,
            error.as_deref().unwrap_or("unknown")
        ),
        (Outcome::Downloaded, _) => format!("{code} OK"),
        (Outcome::NotFound, _) => format!("{code} not found: {image_url}"),
        (_, error) => format!("{code} error: {}", error.as_deref().unwrap_or("unknown")),
    }
}

fn count(samples: &[Sample], wanted: impl Fn(Outcome) -> bool) -> usize {
    samples
        .iter()
        .filter(|sample| sample.is_last() && wanted(sample.outcome))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(list: &str) -> Vec<CountryCode> {
        list.split(' ').map(|code| code.parse().unwrap()).collect()
    }

    fn samples(outcomes: &[(usize, Outcome)]) -> Vec<Sample> {
        let sample = |outcome| Sample {
            code: "BR".parse().unwrap(),
            attempt: 1,
            worker: 0,
            outcome,
            error: Some("HTTP error 418 - I'm a teapot".to_owned()),
            status: None,
            bytes: 0,
            sent: Duration::ZERO,
            headers: None,
            done: Duration::ZERO,
            plan: None,
            wait: None,
            body: None,
            capacity: None,
            rules: None,
            retry_in: None,
        };
        outcomes
            .iter()
            .flat_map(|&(count, outcome)| vec![sample(outcome); count])
            .collect()
    }

    #[test]
    fn the_opening_is_that_of_the_book() {
        let pop20 = codes("BD BR CD CN DE EG ET FR ID IN IR JP MX NG PH PK RU TR US VN");
        insta::assert_snapshot!(opening("DELAY", "http://localhost:8001/flags", &pop20, 20), @r"
        DELAY site: http://localhost:8001/flags
        Searching for 20 flags: from BD to VN
        20 concurrent connections will be used.
        ");
        insta::assert_snapshot!(opening("LOCAL", "http://localhost:8000/flags", &pop20[..10], 1), @r"
        LOCAL site: http://localhost:8000/flags
        Searching for 10 flags: BD, BR, CD, CN, DE, EG, ET, FR, ID, IN
        1 connection will be used.
        ");
        insta::assert_snapshot!(opening("LOCAL", "http://localhost:8000/flags", &codes("BR"), 1), @r"
        LOCAL site: http://localhost:8000/flags
        Searching for 1 flag: BR
        1 connection will be used.
        ");
    }

    #[test]
    fn the_closing_is_that_of_the_book() {
        let elapsed = Duration::from_millis(5019);
        insta::assert_snapshot!(closing(&samples(&[(20, Outcome::Downloaded)]), elapsed), @r"
        --------------------
         20 flags downloaded.
        Elapsed time: 5.02s
        ");
        let mixed = [
            (1, Outcome::Downloaded),
            (9, Outcome::NotFound),
            (3, Outcome::HttpError),
            (1, Outcome::Timeout),
        ];
        insta::assert_snapshot!(closing(&samples(&mixed), elapsed), @r"
        --------------------
          1 flag downloaded.
          9 not found.
          4 errors.
        Elapsed time: 5.02s
        ");
        insta::assert_snapshot!(closing(&samples(&[(1, Outcome::NotSaved)]), elapsed), @r"
        --------------------
          0 flags downloaded.
          1 error.
        Elapsed time: 5.02s
        ");
    }

    #[test]
    fn a_download_with_retries_is_one_download() {
        let mut attempts = samples(&[(2, Outcome::HttpError), (1, Outcome::Downloaded)]);
        attempts[0].retry_in = Some(Duration::from_millis(75));
        attempts[1].retry_in = Some(Duration::from_millis(150));
        attempts[1].attempt = 2;
        insta::assert_snapshot!(closing(&attempts, Duration::from_secs(1)), @r"
        --------------------
          1 flag downloaded.
        Elapsed time: 1.00s
        ");
        let lines: Vec<String> = attempts.iter().map(|sample| line(sample, "")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        BR retry 1: HTTP error 418 - I'm a teapot
        BR retry 2: HTTP error 418 - I'm a teapot
        BR OK
        ");
    }

    #[test]
    fn a_verbose_line_has_the_result_of_an_attempt() {
        let lines: Vec<String> = samples(&[
            (1, Outcome::Downloaded),
            (1, Outcome::NotFound),
            (1, Outcome::HttpError),
        ])
        .iter()
        .map(|sample| line(sample, "http://localhost:8000/flags/br/br.gif"))
        .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        BR OK
        BR not found: http://localhost:8000/flags/br/br.gif
        BR error: HTTP error 418 - I'm a teapot
        ");
    }
}
