//! The program as a user starts it: its output, its files, its exit codes.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory;

#[path = "../src/bin/flag-client/args.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "only the names of the commands and options are compared here"
)]
mod args;

mod support;

use args::Args;
use flag_scenario::Scenario;
use flag_server::FlagServer;
use flags_data::Catalogue;
use support::{TestServer, respond};

fn flag_client(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flag-client"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Standard output with the port of the embedded server and all times replaced.
fn normalized(output: &Output) -> String {
    normalized_text(&String::from_utf8(output.stdout.clone()).unwrap())
}

fn normalized_text(text: &str) -> String {
    let lines =
        text.lines().map(
            |line| match (line.split_once("127.0.0.1:"), line.split_once("time: ")) {
                (Some((before, after)), _) => {
                    format!(
                        "{before}127.0.0.1:PORT{}",
                        after.trim_start_matches(|c: char| c.is_ascii_digit())
                    )
                }
                (_, Some((before, _))) => format!("{before}time: TIME"),
                _ => line.to_owned(),
            },
        );
    lines.collect::<Vec<_>>().join("\n")
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_environment_sets_the_url_of_a_label() {
    let folder = scratch();
    let server = flag_server::FlagServer::builder().start_blocking().unwrap();
    let with_labels = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flag-client"));
        command.args(args).current_dir(folder.path());
        command.env("FLAG_CLIENT_SERVER_DELAY", server.flags_url());
        command.env("FLAG_CLIENT_SERVER_QUICK_DELAY", server.flags_url());
        command.output().unwrap()
    };
    for (server_arg, label) in [("delay", "DELAY"), ("quick-delay", "QUICK-DELAY")] {
        let output = with_labels(&["get", "BR", "-s", server_arg]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let site = format!("{label} site: {}", server.flags_url());
        assert_eq!(
            normalized(&output).lines().next(),
            normalized_text(&site).lines().next()
        );
    }
    let output = with_labels(&["get", "BR", "-s", "other"]);
    assert_eq!(output.status.code(), Some(2));
}

/// What `get` saves, and how it ends.
fn get(server: &str, folder: &Path, more: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let out = tempfile::tempdir_in(folder).unwrap();
    let out_arg = out.path().to_str().unwrap();
    let args = ["get", "BR", "JP", "-v", "-s", server, "--out", out_arg];
    let output = flag_client(&[&args[..], more].concat(), folder);
    let names = out.path().read_dir().unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), names, text)
}

/// The same folder of other flags for `--flags`: a GIF of the user's own for Brazil and Japan.
fn own_flags(folder: &Path) -> Catalogue {
    for (cc, country) in [("br", "Brazil"), ("jp", "Japan")] {
        let own = folder.join("flags").join(cc);
        std::fs::create_dir_all(&own).unwrap();
        let code = cc.to_uppercase();
        let metadata = format!(r#"{{"country": "{country}", "iso_cc": "{code}"}}"#);
        std::fs::write(own.join("metadata.json"), metadata).unwrap();
        std::fs::write(own.join(format!("{cc}.gif")), b"GIF89a of the user's own").unwrap();
    }
    Catalogue::load(&folder.join("flags")).unwrap()
}

const CORRUPT_BRAZIL: &str = "
    [[rule]]
    fault = 'corrupt'
    bits = 3
    match = { cc = ['BR'] }
    [[rule]]
    fault = 'status'
    status = 200
    body = 'no image'
    match = { cc = ['CN'] }
";

#[test]
fn a_wrong_image_is_told_and_not_saved_where_the_server_says_which_is_right() {
    let folder = scratch();
    for catalogue in [Catalogue::embedded(), own_flags(folder.path())] {
        let server = |rules| {
            let builder = FlagServer::builder().scenario(Scenario::from_toml(rules).unwrap());
            builder
                .catalogue(catalogue.clone())
                .start_blocking()
                .unwrap()
        };
        for strategy in ["async", "processes"] {
            let strategy = ["--strategy", strategy];
            let (code, names, text) = get(&server("").flags_url(), folder.path(), &strategy);
            assert_eq!((code, names.len()), (Some(0), 2), "{text}");

            let corrupt = server(CORRUPT_BRAZIL);
            let (code, names, text) = get(&corrupt.flags_url(), folder.path(), &strategy);
            assert_eq!(
                (code, names),
                (Some(1), vec!["JP.gif".to_owned()]),
                "{text}"
            );
            assert!(text.contains("wrong image: "), "{text}");
        }
    }
    // The embedded server's are known, too.
    let scenario = folder.path().join("corrupt.toml");
    std::fs::write(&scenario, CORRUPT_BRAZIL).unwrap();
    let scenario = scenario.to_str().unwrap();
    let args = [
        "get",
        "BR",
        "CN",
        "JP",
        "--scenario",
        scenario,
        "--out",
        "out",
    ];
    let output = flag_client(&args, folder.path());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let saved: Vec<_> = folder.path().join("out").read_dir().unwrap().collect();
    assert_eq!(saved.len(), 1, "{saved:?}");
}

#[test]
fn what_is_no_gif_is_told_of_any_server_and_not_saved() {
    let folder = scratch();
    let server = TestServer::start(|path, stream| match path {
        "/flags/br/br.gif" => respond(stream, "200 OK", "", b"<html>please log in"),
        "/flags/jp/jp.gif" => respond(stream, "200 OK", "etag: \"1\"\r\n", b"GIF87a"),
        _ => respond(stream, "404 Not Found", "", b""),
    });
    let (code, names, text) = get(&server.base_url, folder.path(), &[]);
    assert_eq!(
        (code, names),
        (Some(1), vec!["JP.gif".to_owned()]),
        "{text}"
    );
    let expected = "wrong image: 19 bytes that are not a GIF";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_longer_body_than_accepted_is_told_and_recorded() {
    let folder = scratch();
    let server = flag_server::FlagServer::builder().start_blocking().unwrap();
    let more = ["--max-body", "1kB", "--export-json", "get.json"];
    let (code, names, text) = get(&server.flags_url(), folder.path(), &more);
    assert_eq!((code, names), (Some(1), Vec::new()), "{text}");
    let expected = "the body is longer than 1000 B; raise --max-body";
    assert_eq!(text.matches(expected).count(), 2, "{text}");
    let json = std::fs::read(folder.path().join("get.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["job"]["max_body_bytes"], 1000);
    let sample = &json["lanes"][0]["rounds"][0]["samples"][0];
    assert_eq!(sample["outcome"], "too_large");

    for wrong in ["0B", "16", "1 elephant", "-1B", ""] {
        for command in [&["get", "BR"][..], &["load", "-n", "1"]] {
            let wrong = [&*format!("--max-body={wrong}")];
            let output = flag_client(&[command, &wrong].concat(), folder.path());
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(text.contains("--max-body"), "{text}");
            assert!(text.contains("give a size"), "{text}");
        }
    }
}

#[test]
fn a_race_on_several_servers_fills_a_folder() {
    let folder = scratch();
    let server = flag_server::FlagServer::builder().start_blocking().unwrap();
    let url = server.flags_url();
    let race = |args: &[&str]| {
        let few = [
            "bench",
            "-r",
            "2",
            "BR",
            "--strategy",
            "async",
            "--out",
            "reports",
        ];
        flag_client(&[&few, args].concat(), folder.path())
    };
    let files = || {
        let mut files: Vec<String> = (folder.path().join("reports").read_dir().unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        files
    };

    let output = race(&["-s", &url, "-s", &url]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(files(), ["custom-2.json", "custom.json", "report.html"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("CUSTOM at").count(), 2, "{text}");
    let page = std::fs::read_to_string(folder.path().join("reports/report.html")).unwrap();
    for title in [
        "A race of downloads: custom",
        "A race of downloads: custom-2",
    ] {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
    }

    // A failed race decides the exit code, but does not stop the races after it.
    std::fs::remove_dir_all(folder.path().join("reports")).unwrap();
    let all_met = ["--threshold", "async.errors == 0"];
    let output = race(
        &[
            &all_met[..],
            &["--profile", "error-1e", "--profile", "local", "CD"],
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(99), "{output:?}");
    assert_eq!(files(), ["error-1e.json", "local.json", "report.html"]);
}

#[test]
fn an_output_of_one_result_is_refused_for_several_servers() {
    let folder = scratch();
    let several = ["bench", "--profile", "local", "--profile", "bench"];
    for (args, flag) in [
        (["--export-json", "x.json"], "--export-json x.json"),
        (["--plot", "x.svg"], "--plot x.svg"),
        (["--baseline", "x.json"], "--baseline x.json"),
        (["--format", "json"], "--format"),
    ] {
        let output = flag_client(&[&several[..], &args].concat(), folder.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.starts_with(&format!("error: {flag}")), "{message}");
        assert!(message.contains("take --out DIR"), "{message}");
    }
}

#[test]
fn get_downloads_the_twenty_most_populous_countries() {
    let folder = scratch();
    let output = flag_client(&["get"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    insta::assert_snapshot!(normalized(&output), @r"
    EMBEDDED site: http://127.0.0.1:PORT/flags
    Searching for 20 flags: from BD to VN
    20 concurrent connections will be used.
    --------------------
     20 flags downloaded.
    Elapsed time: TIME
    ");
    assert_eq!(
        folder.path().join("downloads").read_dir().unwrap().count(),
        20
    );
    let brazil = std::fs::read(folder.path().join("downloads/BR.gif")).unwrap();
    assert_eq!(
        brazil,
        flags_data::Catalogue::embedded()
            .get("BR".parse().unwrap())
            .unwrap()
            .image
            .bytes
    );
}

#[test]
fn get_takes_the_options_of_the_book() {
    let folder = scratch();
    let output = flag_client(
        &[
            "get",
            "-v",
            "--strategy",
            "sequential",
            "b",
            "jp",
            "-l",
            "3",
            "--max_req",
            "7",
        ],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(normalized(&output), @r"
    EMBEDDED site: http://127.0.0.1:PORT/flags
    Searching for 3 flags: BA, BB, BC
    1 connection will be used.
    BA OK
    BB OK
    BC not found: http://127.0.0.1:PORT/flags/bc/bc.gif
    --------------------
      2 flags downloaded.
      1 not found.
    Elapsed time: TIME
    ");
}

#[test]
fn get_ends_with_exit_code_1_when_a_download_is_an_error() {
    let folder = scratch();
    let scenario = folder.path().join("tea.toml");
    std::fs::write(&scenario, "rule = [{ fault = \"status\", status = 418 }]").unwrap();
    let output = flag_client(
        &["get", "-v", "--scenario", "tea.toml", "BR"],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(normalized(&output), @r"
    EMBEDDED site: http://127.0.0.1:PORT/flags
    Searching for 1 flag: BR
    1 connection will be used.
    BR error: HTTP error 418 - I'm a teapot
    --------------------
      0 flags downloaded.
      1 error.
    Elapsed time: TIME
    ");
}

/// 503 for half of the attempts; the seed decides which.
const BUSY: &str =
    r#"rule = [{ name = "busy", fault = "status", status = 503, probability = 0.5 }]"#;

#[test]
fn get_retries_and_counts_the_final_outcomes() {
    let folder = scratch();
    std::fs::write(folder.path().join("busy.toml"), BUSY).unwrap();
    let get = |retries| {
        let args = ["get", "-v", "--strategy", "sequential", "--retries"];
        let more = [retries, "--scenario", "busy.toml", "CD", "CN", "DE", "EG"];
        flag_client(&[&args[..], &more].concat(), folder.path())
    };
    let output = get("2");
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(normalized(&output), @r"
    EMBEDDED site: http://127.0.0.1:PORT/flags
    Searching for 4 flags: CD, CN, DE, EG
    1 connection will be used.
    CD retry 1: HTTP error 503 - Service Unavailable
    CD retry 2: HTTP error 503 - Service Unavailable
    CD error: HTTP error 503 - Service Unavailable
    CN OK
    DE retry 1: HTTP error 503 - Service Unavailable
    DE OK
    EG retry 1: HTTP error 503 - Service Unavailable
    EG retry 2: HTTP error 503 - Service Unavailable
    EG OK
    --------------------
      3 flags downloaded.
      1 error.
    Elapsed time: TIME
    ");
    let output = get("3");
    assert_eq!(output.status.code(), Some(0));
    assert!(normalized(&output).contains("\n  4 flags downloaded.\nElapsed time: "));
    assert_eq!(
        folder.path().join("downloads").read_dir().unwrap().count(),
        4
    );
}

#[test]
fn bench_has_a_column_for_retries_when_there_were_any() {
    let folder = scratch();
    let scenario = folder.path().join("busy.toml");
    std::fs::write(&scenario, "rule = [{ fault = \"status\", status = 503 }]").unwrap();
    for (retries, columns) in [("0", vec!["errors"]), ("2", vec!["retries", "errors"])] {
        let output = flag_client(
            &[
                "bench",
                "--scenario",
                "busy.toml",
                "--retries",
                retries,
                "BR",
                "JP",
                "-r",
                "1",
                "-w",
                "0",
            ],
            folder.path(),
        );
        assert_eq!(output.status.code(), Some(0), "the errors were planned");
        let text = normalized(&output);
        let row = |first: &str| -> Vec<&str> {
            let mut rows = text.lines().map(|line| line.split_whitespace());
            rows.find(|row| row.clone().next() == Some(first))
                .unwrap()
                .collect()
        };
        let header = row("strategy");
        assert!(header.ends_with(&columns), "{text}");
        assert_eq!(header.contains(&"retries"), columns.len() == 2, "{text}");
        let counts: &[&str] = if columns.len() == 2 {
            &["4", "2"]
        } else {
            &["2"]
        };
        for strategy in ["sequential", "threaded", "async"] {
            assert!(row(strategy).ends_with(counts), "{text}");
        }
        assert!(
            text.contains("async: 2 × HTTP error 503 - Service Unavailable (such as "),
            "{text}"
        );
    }
}

#[test]
fn a_seed_with_a_named_server_is_for_the_pauses() {
    let folder = scratch();
    let args = ["get", "-s", "http://127.0.0.1:1", "--seed", "7"];
    let message = String::from_utf8(flag_client(&args, folder.path()).stderr).unwrap();
    assert!(
        message.starts_with("error: no server answers at "),
        "{message}"
    );
    for command in ["get", "bench"] {
        let help = flag_client(&[command, "--help"], folder.path()).stdout;
        let help = String::from_utf8(help).unwrap();
        assert!(help.contains("--retries <N>"), "{help}");
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let alone = "with --server, and neither --scenario nor --profile, nothing else";
        assert!(help.contains(alone), "{help}");
    }
}

#[test]
fn get_accounts_for_all_676_codes() {
    let folder = scratch();
    let scenario = folder.path().join("error.toml");
    std::fs::write(
        &scenario,
        "rule = [{ name = \"teapot\", fault = \"status\", status = 418, probability = 0.25 }]",
    )
    .unwrap();
    let output = flag_client(
        &["get", "--scenario", "error.toml", "-e", "-m", "200"],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(1));
    let text = normalized(&output);
    let count = |word: &str| -> usize {
        let line = text.lines().find(|line| line.ends_with(word)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (downloaded, not_found, errors) = (
        count("flags downloaded."),
        count("not found."),
        count("errors."),
    );
    assert_eq!(downloaded + not_found + errors, 676, "{text}");
    assert_eq!(
        folder.path().join("downloads").read_dir().unwrap().count(),
        downloaded
    );
}

#[test]
fn bench_prints_one_table_and_a_verdict() {
    let folder = scratch();
    let output = flag_client(
        &["BR", "JP", "--profile", "local", "-r", "2", "-w", "0"],
        folder.path(),
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = normalized(&output);
    assert!(text.starts_with("2 flags (BR, JP), at most 30 at a time\nserver: embedded, scenario local, seed 20150223\n2 rounds after 0 to warm up"), "{text}");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for (strategy, workers) in [("sequential", "1"), ("threaded", "2"), ("async", "2")] {
        let row = rows
            .iter()
            .find(|row| row.first() == Some(&strategy))
            .unwrap();
        assert_eq!((row[1], *row.last().unwrap()), (workers, "0"), "{text}");
    }
    let verdict = "\n2 rounds are too few to name a winner: take 6 or more.\n";
    assert!(text.contains(verdict), "{text}");
    assert!(
        !folder.path().join("downloads").exists(),
        "bench keeps no images"
    );
}

#[test]
fn a_command_that_downloads_nothing_does_not_win() {
    let folder = scratch();
    let output = flag_client(
        &[
            "BR",
            "JP",
            "--profile",
            "local",
            "-r",
            "6",
            "-w",
            "0",
            "--strategy",
            "async",
            "--command",
            "true {url}",
        ],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(1));
    let text = normalized(&output);
    let verdict = "\nOnly async did the whole job, so there is nothing to compare.\n";
    assert!(text.contains(verdict), "{text}");
    let warning = "true: 12 of 12 downloads are missing, wrong, or failed against the plan.";
    assert!(text.contains(warning), "{text}");
    assert!(!text.contains("fastest"), "{text}");
}

/// One after the other they wait four times as long, on any machine.
#[test]
fn a_ratio_passes_fails_or_is_undecided() {
    let folder = scratch();
    let text = "rule = [{ name = 'delay', fault = 'latency', distribution = { fixed = '50ms' } }]";
    std::fs::write(folder.path().join("slow.toml"), text).unwrap();
    let race = |rounds, more: &[&str]| {
        let args = "bench BR CN IN US --scenario slow.toml --strategy async --strategy sequential";
        let args = format!("{args} --export-json race.json -r {rounds}");
        let args: Vec<&str> = args.split(' ').chain(more.iter().copied()).collect();
        let output = flag_client(&args, folder.path());
        (output.status.code(), normalized(&output))
    };
    let (code, text) = race(6, &["--threshold", "sequential.ratio < 1.05"]);
    assert_eq!(code, Some(99), "{text}");
    assert!(
        text.contains("\n✗ sequential.ratio < 1.05, found "),
        "{text}"
    );

    let other = ["--reference", "sequential"];
    let slower = ["--threshold", "async.ratio.upper < 1"];
    let (code, text) = race(6, &[other, slower].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\n✓ async.ratio.upper < 1, found "), "{text}");

    let undecided = ["--threshold", "sequential.ratio < 1.05"];
    let (code, text) = race(2, &undecided);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("\n? sequential.ratio < 1.05, found "),
        "{text}"
    );
    assert!(text.contains(": undecided, take more rounds"), "{text}");
    let strict = [&["report", "race.json", "--strict"], &undecided[..]].concat();
    assert_eq!(flag_client(&strict, folder.path()).status.code(), Some(99));
    let proof = ["--threshold", "sequential.ratio.lower > 1"];
    let (code, text) = race(2, &proof);
    assert_eq!(code, Some(99), "{text}");
    assert!(text.contains(", found no data"), "{text}");

    for (more, expected) in [
        (
            ["--reference", "me"],
            "error: --reference: no contender is called \"me\"; take one of async, sequential",
        ),
        (
            ["--threshold", "async.ratio < 2"],
            "error: --threshold 'async.ratio < 2': \"async\" is what the others are compared with",
        ),
    ] {
        let args = ["bench", "--strategy", "async", "--strategy", "sequential"];
        let output = flag_client(&[&args, &more[..]].concat(), folder.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn each_named_strategy_races_with_each_library_that_it_works_with() {
    let folder = scratch();
    let output = flag_client(
        &[
            "bench",
            "--profile",
            "local",
            "-r",
            "1",
            "-w",
            "0",
            "--strategy",
            "sequential",
            "--strategy",
            "async",
            "--strategy",
            "processes",
            "--http",
            "hyper",
            "--http",
            "reqwest",
            "--http",
            "ureq",
            "--runtime",
            "multi-thread",
            "--no-keepalive",
            "BR",
            "JP",
        ],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(0));
    let text = normalized(&output);
    let rows = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let workers = words.get(1)?.parse::<usize>().ok()?;
        (words.first() != Some(&"warning:")).then_some((*words.first()?, workers))
    });
    let rows: Vec<_> = rows.collect();
    let expected = [
        ("sequential", 1),
        ("sequential-ureq", 1),
        ("async-hyper-multi-thread", 2),
        ("async-multi-thread", 2),
        ("processes", 2),
        ("processes-ureq", 2),
    ];
    assert_eq!(rows, expected, "{text}");
}

#[test]
fn internal_sub_commands_are_hidden_and_explain_themselves() {
    let folder = scratch();
    let help = String::from_utf8(flag_client(&["--help"], folder.path()).stdout).unwrap();
    assert!(help.contains("  get "), "{help}");
    for hidden in ["worker", "probe"] {
        assert!(!help.contains(&format!("\n  {hidden} ")), "{help}");
        let output = flag_client(&[hidden], folder.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.starts_with("error: a worker process reads its work from "),
            "{message}"
        );
    }
}

/// Makes the clients trust a certificate, as an administrator would.
#[cfg(target_os = "linux")]
#[test]
fn every_library_supports_https_and_some_support_http_2() {
    use flag_server::{FlagServer, Tls};

    let folder = scratch();
    let (certificates, key) = (
        folder.path().join("chain.pem"),
        folder.path().join("key.pem"),
    );
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&certificates, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::Files {
        certificates: certificates.clone(),
        key,
    };
    let server = FlagServer::builder().tls(tls).start_blocking().unwrap();
    let url = server.flags_url();
    assert!(url.starts_with("https://"));
    for (strategy, http, more) in [
        ("threaded", "reqwest", &[][..]),
        ("threaded", "reqwest", &["--http2"]),
        ("threaded", "ureq", &[]),
        ("async", "reqwest", &[]),
        ("async", "reqwest", &["--http2"]),
        ("async", "hyper", &[]),
        ("async", "hyper", &["--http2"]),
        ("processes", "ureq", &["--no-keepalive"]),
        ("processes", "reqwest", &["--http2"]),
    ] {
        let get = |trusted: &Path| {
            let args = ["get", "-v", "-s", &url, "BR", "JP", "--strategy", strategy];
            let mut command = Command::new(env!("CARGO_BIN_EXE_flag-client"));
            command.args(args).args(["--http", http]).args(more);
            command
                .env("SSL_CERT_FILE", trusted)
                .current_dir(folder.path());
            command.output().unwrap()
        };
        let output = get(&certificates);
        let text = normalized(&output);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{strategy} {http} {more:?}: {text}"
        );
        assert!(text.contains("  2 flags downloaded."), "{text}");

        // An unknown certificate means no connection.
        let output = get(Path::new("/dev/null"));
        let text = normalized(&output);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{strategy} {http} {more:?}: {text}"
        );
        assert!(text.contains("  2 errors."), "{text}");
    }
}

#[test]
fn bench_counts_planned_errors_and_does_not_fail_for_them() {
    let folder = scratch();
    let scenario = folder.path().join("tea.toml");
    std::fs::write(&scenario, "rule = [{ fault = \"status\", status = 418 }]").unwrap();
    let output = flag_client(
        &[
            "bench",
            "--scenario",
            "tea.toml",
            "BR",
            "JP",
            "-r",
            "3",
            "--strategy",
            "async",
        ],
        folder.path(),
    );
    assert_eq!(output.status.code(), Some(0));
    let text = normalized(&output);
    assert!(
        text.contains("async: 6 × HTTP error 418 - I'm a teapot (such as BR)"),
        "{text}"
    );
}

#[test]
fn usage_errors_are_one_clear_message_and_exit_code_2() {
    let folder = scratch();
    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, "sede = 1").unwrap();
    for (args, expected) in [
        (
            &["get", "-s", "nowhere"] as &[&str],
            "--server nowhere: give one of DELAY, ERROR, LOCAL, REMOTE, or a URL",
        ),
        (
            &["get", "-s", "ftp://localhost/flags"],
            "--server ftp://localhost/flags: give one of",
        ),
        (&["get", "-s", ""], "--server : give one of"),
        (
            &["get", "-m", "0"],
            "invalid value '0' for '--max-req <N>': give a whole number from 1 up",
        ),
        (
            &["get", "-l", "0"],
            "invalid value '0' for '--limit <N>': give a whole number from 1 up",
        ),
        (
            &["get", "-m", "-1"],
            "invalid value '-1' for '--max-req <N>': give a whole number from 1 up",
        ),
        (
            &["get", "B1"],
            "invalid value 'B1' for '[CC]...': each CC must be A to Z or AA to ZZ",
        ),
        (&["get", ""], "each CC must be A to Z or AA to ZZ"),
        (
            &["gte"],
            "each CC must be A to Z or AA to ZZ (or a sub-command: see --help)",
        ),
        (&["get", "-a", "-e"], "cannot be used with"),
        (
            &["get", "--strategy", "parallel"],
            "[possible values: sequential, threaded, async, processes]",
        ),
        (
            &["get", "--http", "ureq"],
            "--strategy async --http ureq: ureq only blocks; take --http reqwest or hyper",
        ),
        (
            &[
                "--strategy",
                "async",
                "--strategy",
                "threaded",
                "--http",
                "hyper",
            ],
            "--strategy threaded --http hyper: hyper never blocks; take --http reqwest or ureq",
        ),
        (
            &["--strategy", "threaded", "--http", "ureq", "--http2"],
            "--http ureq --http2: ureq has no HTTP/2; take --http reqwest or hyper",
        ),
        (
            &[
                "get",
                "--strategy",
                "processes",
                "--runtime",
                "multi-thread",
            ],
            "--strategy processes --runtime multi-thread: only async has a runtime; leave --runtime out",
        ),
        (
            &["get", "--http", "curl"],
            "[possible values: reqwest, ureq, hyper]",
        ),
        (
            &["get", "--timeout", "5"],
            "give a duration with its unit, like",
        ),
        (&["get", "--timeout", "0s"], "give a time above zero"),
        (
            &["--profile", "teapot"],
            "--profile teapot: there is no such profile; take one of local, delay,",
        ),
        (
            &["--scenario", "none.toml"],
            "--scenario none.toml: cannot be read",
        ),
        (&["--scenario", "bad.toml"], "line 1: sede: unknown key"),
        (
            &["-r", "0"],
            "invalid value '0' for '--rounds <N>': give a whole number from 1 up",
        ),
        (
            &["get", "--retries", "-1"],
            "invalid value '-1' for '--retries <N>': give a whole number from 0 to 100",
        ),
        (
            &["--retries", "101"],
            "invalid value '101' for '--retries <N>': give a whole number from 0 to 100",
        ),
        (&["--seed", "-1"], "invalid value '-1' for '--seed <N>'"),
        (
            &["-s", "LOCAL", "--profile", "bench", "--profile", "wan"],
            "--server: has one plan; give one --scenario or one --profile with it, or none",
        ),
        (
            &["load", "-s", "LOCAL", "--profile", "bench"],
            "--server: a load takes the plan that the server reports; leave out --scenario and --profile",
        ),
        (
            &["load", "localhost"],
            "each CC must be A to Z or AA to ZZ (or a sub-command: see --help); or a URL like http://localhost:8000/flags/br/br.gif",
        ),
        (&["load", "ftp://localhost/"], "give a URL like http://"),
        (
            &["load", "http://localhost:1/", "BR"],
            "http://localhost:1/: is all that would be asked for; leave out the codes,",
        ),
        (
            &["load", "http://localhost:1/", "--profile", "bench"],
            "leave out the codes, --limit, --server, --profile, --scenario, --delay and --errors, or the URL",
        ),
        (
            &["load", "-r", "0"],
            "invalid value '0' for '--rate <RATE>': give a number of requests per second above zero",
        ),
        (
            &["load", "-r", "NaN"],
            "give a number of requests per second",
        ),
        (&["load", "-n", "1", "-d", "1s"], "cannot be used with"),
        (
            &["load", "-c", "0"],
            "invalid value '0' for '--connections <N>': give a whole number from 1 up",
        ),
        (
            &["load", "-H", "accept"],
            "write it as 'name: value', like 'accept: image/gif'",
        ),
        (
            &["load", "--threshold", "async.p(99) < 1ms"],
            "--threshold 'async.p(99) < 1ms': for a load, write response, service or lag before",
        ),
        (&["load", "--format", "csv"], "take one of text, json"),
        (
            &["bench", "--threshold", "async.unsent == 0"],
            "--threshold 'async.unsent == 0': requests, timeouts and unsent are counted by load",
        ),
    ] {
        let output = flag_client(args, folder.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
        assert!(
            message.starts_with("error: ") && !message.contains("panicked"),
            "{args:?}: {message}"
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{args:?}");
    }
}

#[test]
fn a_port_without_a_server_is_reported_with_the_remedy() {
    let folder = scratch();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    for command in ["get", "bench"] {
        let output = flag_client(&[command, "-s", &url], folder.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.starts_with(&format!("error: no server answers at {url}/flags (")),
            "{message}"
        );
        assert!(
            message.ends_with("; start one with `flag-server`, or name none for an embedded one\n"),
            "{message}"
        );
    }
}

#[test]
fn an_unwritable_folder_is_reported_before_the_downloads() {
    let folder = scratch();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let output = flag_client(&["get", "--out", "file/below"], folder.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(
        message.starts_with("error: --out file/below: cannot be written to ("),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_reports_what_was_measured_and_ends_with_exit_code_130() {
    use std::io::{BufRead, BufReader, Read};

    let folder = scratch();
    let mut child = Command::new(env!("CARGO_BIN_EXE_flag-client"))
        .args([
            "bench",
            "-v",
            "-r",
            "1000",
            "-w",
            "0",
            "--strategy",
            "async",
            "BR",
            "JP",
        ])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut rounds = BufReader::new(child.stderr.take().unwrap()).lines();
    let second = rounds.nth(1).unwrap().unwrap();
    assert!(second.starts_with("round 2: async took "), "{second}");
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    for line in rounds {
        line.unwrap(); // until it closes standard error
    }
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(text.contains("warning: It ended early"), "{text}");
    assert!(
        text.lines()
            .any(|line| line.trim_start().starts_with("async  ")),
        "{text}"
    );
}

#[test]
fn the_plan_of_the_client_is_that_of_the_server() {
    let folder = scratch();
    let plan = |args: &[&str]| {
        let output = flag_client(&[&["plan"], args].concat(), folder.path());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    insta::assert_snapshot!(plan(&["BR", "c", "-l", "3"]).replace(" \n", "\n"), @r#"
    scenario bench, seed 20150223
    ──────────────────────────────────────────────────────────────────
     flag   attempt        delay         time   what it meets   rules
    ──────────────────────────────────────────────────────────────────
     BR           1   137.933 ms   137.933 ms   –               delay
     CA           1   119.107 ms   119.107 ms   –               delay
     CB           1    67.591 ms    67.591 ms   status 404      delay
    ──────────────────────────────────────────────────────────────────
    ideal times of the first attempts, in this order; less than the last column is not possible in any order:
    ───────────────────────────────────
     workers        ideal     possible
    ───────────────────────────────────
           1   324.632 ms   324.632 ms
           2   186.699 ms   162.316 ms
           3   137.933 ms   137.933 ms
    ───────────────────────────────────
    "#);
    let json = plan(&[
        "br",
        "--profile",
        "flaky",
        "--seed",
        "7",
        "--format",
        "json",
    ]);
    assert!(
        json.starts_with(
            "{\n  \"kind\": \"plan\",\n  \"schema_version\": 1,\n  \"scenario\": \"flaky\",\n  \"seed\": 7,\n"
        ),
        "{json}"
    );
}

#[test]
fn the_manual_and_the_completions_have_every_visible_command_and_option() {
    let folder = scratch();
    let printed = |args: &[&str]| {
        let output = flag_client(args, folder.path());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(printed(&["man", "--out", "new/man1"]), "");
    let pages = folder.path().join("new/man1");
    let page = |name: &str| std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
    assert_eq!(printed(&["man"]), page("flag-client"));
    let script = printed(&["completions", "bash"]);
    let offered = |label: &str| -> Vec<&str> {
        let opening = format!("        {label})\n            opts=\"");
        assert!(
            script.contains(&format!("cmd=\"{label}\"")),
            "{label}: {script}"
        );
        let (_, words) = script.split_once(&opening).unwrap();
        words.split_once('"').unwrap().0.split(' ').collect()
    };
    let scripts =
        ["elvish", "fish", "powershell", "zsh"].map(|shell| printed(&["completions", shell]));

    let program = Args::command();
    let (root, root_words) = (page("flag-client"), offered("flag__client"));
    let mut all = vec![(&program, root.clone(), root_words.clone())];
    let mut hidden = Vec::new();
    for sub in program.get_subcommands() {
        let (name, seen) = (sub.get_name(), !sub.is_hide_set());
        let entry = format!("\nflag\\-client\\-{name}(1)\n");
        assert_eq!(root.contains(&entry), seen, "{name}");
        assert_eq!(root_words.contains(&name), seen, "{name}: {root_words:?}");
        // The other shells describe each command, and quote the description differently.
        let about = sub.get_about().unwrap().to_string();
        let words: Vec<&str> = about.split(' ').take(3).collect();
        for script in &scripts {
            assert_eq!(script.contains(&words.join(" ")), seen, "{name}: {script}");
        }
        if seen {
            let label = format!("flag__client__subcmd__{name}");
            all.push((sub, page(&format!("flag-client-{name}")), offered(&label)));
        } else {
            assert!(!script.contains(&format!(",{name})")), "{script}");
            hidden.push(name);
        }
    }
    assert_eq!(hidden, ["worker", "probe"]);
    for (command, page, words) in &all {
        for long in command.get_arguments().filter_map(clap::Arg::get_long) {
            let option = format!("--{long}");
            assert!(words.contains(&&*option), "{option}: {words:?}");
            let bold = format!("\\fB{}\\fR", option.replace('-', "\\-"));
            assert!(page.contains(&bold), "{option}: {page}");
        }
    }
    assert_eq!(pages.read_dir().unwrap().count(), all.len());
    let (_, environment) = root.split_once("\n.SH ENVIRONMENT\n").unwrap();
    for variable in ["FLAG_CLIENT_SERVER_LABEL", "FLAG_CLIENT_AS_OWNER_OF"] {
        assert!(
            environment.contains(&format!("\\fB{variable}\\fR")),
            "{root}"
        );
    }
}

#[test]
fn a_page_lists_the_exit_codes_of_its_command() {
    let folder = scratch();
    let output = flag_client(&["man", "--out", "."], folder.path());
    assert_eq!(output.status.code(), Some(0));
    for (name, codes) in [
        ("flag-client", &["99"] as &[&str]),
        ("flag-client-bench", &["99"]),
        ("flag-client-get", &[]),
        ("flag-client-compare", &["99"]),
        ("flag-client-schema", &[]),
    ] {
        let codes = [&["0", "1", "2"], codes, &["129", "130", "143"]].concat();
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
        let (_, ends) = page.split_once(".SH \"EXIT STATUS\"\n").unwrap();
        let (ends, see_also) = ends.split_once(".SH \"SEE ALSO\"\n").unwrap();
        let listed: Vec<&str> = ends
            .lines()
            .filter_map(|line| line.strip_prefix("\\fB")?.strip_suffix("\\fR"))
            .collect();
        assert_eq!(listed, codes, "{name}");
        let parent = if name == "flag-client" {
            ""
        } else {
            "flag\\-client(1), "
        };
        assert_eq!(see_also, format!("{parent}flag\\-server(1)\n"), "{name}");
    }
}

#[test]
fn unwritable_completions_and_pages_are_reported() {
    let folder = scratch();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (args, code, expected) in [
        (&["completions"] as &[&str], 2, "<SHELL>"),
        (
            &["completions", "tcsh"],
            2,
            "[possible values: bash, elvish, fish, powershell, zsh]",
        ),
        (
            &["man", "--out", "file/below"],
            2,
            "error: --out file/below: cannot be written to (",
        ),
    ] {
        let output = flag_client(args, folder.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(expected), "{message}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    }
}

#[test]
fn a_reader_may_close_a_page_or_a_script_early() {
    for args in [&["man"] as &[&str], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_flag-client"));
        let output = command.args(args).stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_result_is_read_up_to_a_limit() {
    let folder = scratch();
    let file = std::fs::File::create(folder.path().join("large.json")).unwrap();
    file.set_len((256 << 20) + 1).unwrap();
    for args in [
        &["report", "large.json"] as &[&str],
        &["compare", "large.json", "large.json"],
        &["bench", "--baseline", "large.json"],
    ] {
        let output = flag_client(args, folder.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        let expected = "large.json: cannot be read (it is larger than the limit of 256 MiB); name a smaller file that --export-json has written";
        assert!(message.contains(expected), "{message}");
    }
}

/// A server of another program, which gives every request this answer.
fn stranger(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    if std::io::Read::read(&mut stream, &mut byte).unwrap_or(0) == 0 {
                        return;
                    }
                    head.extend(byte);
                }
                std::io::Write::write_all(&mut stream, answer.as_bytes()).ok();
            });
        }
    });
    url
}

#[test]
fn a_server_of_another_program_is_called_that() {
    let folder = scratch();
    let builder = flag_server::FlagServer::builder;
    let own = builder().start_blocking().unwrap();
    let teapots = builder().toml("rule = [{ fault = 'status', status = 418 }]");
    let teapots = teapots.unwrap().start_blocking().unwrap();
    let not_found =
        "HTTP/1.1 404 Not Found\r\nserver: other\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let refused = "HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for (url, code, is_stranger) in [
        (stranger(not_found), "BR", true),
        (stranger(refused), "BR", true),
        (own.flags_url(), "XX", false),
        (teapots.flags_url(), "BR", false),
    ] {
        let output = flag_client(&["get", "-s", &url, code], folder.path());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        let says_so = text.contains("no Flagbench server answers at ");
        assert_eq!(says_so, is_stranger, "{url}: {text}");
    }
}

#[test]
fn a_proxy_of_the_environment_is_never_used() {
    let folder = scratch();
    let server = flag_server::FlagServer::builder().start_blocking().unwrap();
    let url = server.flags_url();
    let flag = format!("{url}/br/br.gif");
    let threaded = ["get", "-s", &url, "BR", "--strategy", "threaded", "--http"];
    for args in [
        &["get", "-s", &url, "BR", "--http", "reqwest"] as &[&str],
        &["get", "-s", &url, "BR", "--http", "hyper"],
        &[&threaded[..], &["ureq"]].concat(),
        &[&threaded[..], &["reqwest"]].concat(),
        &["load", &flag, "-n", "1", "-c", "1"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flag-client"));
        command.args(args).current_dir(folder.path());
        for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env(name, "http://127.0.0.1:1");
        }
        command.env_remove("no_proxy").env_remove("NO_PROXY");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    }
}
