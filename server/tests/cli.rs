//! The program as a user starts it: addresses, files, signals, and error messages.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use clap::CommandFactory;

#[path = "../src/bin/flag-server/args.rs"]
mod args;

use args::Args;

fn flag_server(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flag-server"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FLAG_SERVER_")) {
        command.env_remove(name);
    }
    command
}

fn output(args: &[&str]) -> Output {
    flag_server(args).output().unwrap()
}

/// The exit code and the message when it refuses to start.
fn refusal(args: &[&str]) -> (Option<i32>, String) {
    let output = output(args);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "",
        "nothing on standard output"
    );
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A running server; killed when dropped, unless it was waited for.
struct Running {
    child: Child,
    /// (name, URL) of each listener, as printed.
    announced: Vec<(String, String)>,
}

impl Running {
    fn start(mut command: Command, listeners: usize) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let announced = lines.take(listeners).map(|line| {
            let line = line.unwrap();
            let (name, url) = line.split_once(' ').unwrap();
            (name.to_owned(), url.to_owned())
        });
        let announced: Vec<_> = announced.collect();
        assert_eq!(announced.len(), listeners, "the server ended early");
        Self { child, announced }
    }

    fn authority(&self, index: usize) -> &str {
        self.announced[index].1.strip_prefix("http://").unwrap()
    }

    /// The status code of one request.
    fn get(&self, index: usize, path: &str) -> u16 {
        let reply = exchange(TcpStream::connect(self.authority(index)).unwrap(), path);
        reply[9..12].parse().unwrap()
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The exit code and the log.
    #[cfg(unix)]
    fn wait(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn exchange(mut stream: TcpStream, path: &str) -> String {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).unwrap();
    String::from_utf8_lossy(&raw).into_owned()
}

#[test]
fn the_three_servers_of_the_book_open_on_free_ports_and_print_them() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let server = Running::start(
        flag_server(&["--port", "0", "--ready-file", ready.to_str().unwrap()]),
        3,
    );
    let names: Vec<&str> = server.announced.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["local", "delay", "error"]);
    assert_eq!(server.get(0, "/flags/br/br.gif"), 200);
    assert_eq!(server.get(2, "/healthz"), 200);

    let json: serde_json::Value = serde_json::from_slice(&wait_for_file(&ready)).unwrap();
    let listeners = server
        .announced
        .iter()
        .map(|(name, url)| serde_json::json!({ "name": name, "url": url }));
    assert_eq!(
        json,
        serde_json::json!({ "listeners": listeners.collect::<Vec<_>>() })
    );
}

/// The addresses are printed before the file is written, and the file appears atomically.
fn wait_for_file(path: &Path) -> Vec<u8> {
    loop {
        match std::fs::read(path) {
            Ok(bytes) => return bytes,
            Err(_) => std::thread::yield_now(),
        }
    }
}

#[test]
fn one_profile_or_one_scenario_opens_one_listener() {
    let bench = Running::start(flag_server(&["--profile", "bench", "--port", "0"]), 1);
    assert_eq!(bench.announced[0].0, "bench");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tea.toml");
    std::fs::write(&file, "rule = [{ fault = \"status\", status = 418 }]").unwrap();
    let tea = Running::start(
        flag_server(&["--scenario", file.to_str().unwrap(), "--port", "0"]),
        1,
    );
    assert_eq!(tea.announced[0].0, "tea");
    assert_eq!(tea.get(0, "/flags/br/br.gif"), 418);
}

#[test]
fn environment_variables_replace_options() {
    let mut command = flag_server(&[]);
    command
        .env("FLAG_SERVER_PROFILE", "local")
        .env("FLAG_SERVER_PORT", "0")
        .env("FLAG_SERVER_LOG", "json");
    let server = Running::start(command, 1);
    assert_eq!(server.announced[0].0, "local");
    #[cfg(unix)]
    {
        server.signal("TERM");
        let (_, log) = server.wait();
        let first = log.lines().next().unwrap();
        let entry: serde_json::Value = serde_json::from_str(first).unwrap();
        assert_eq!(entry["level"], "INFO", "{log}");
        assert!(
            entry["fields"]["message"]
                .as_str()
                .unwrap()
                .starts_with("stopping"),
            "{log}"
        );
    }
}

#[test]
fn another_folder_of_flags_can_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let br = folder.path().join("br");
    std::fs::create_dir(&br).unwrap();
    let image = flags_data::Catalogue::embedded()
        .get("BR".parse().unwrap())
        .unwrap()
        .image
        .bytes
        .clone();
    std::fs::write(br.join("br.gif"), image).unwrap();
    std::fs::write(
        br.join("metadata.json"),
        "{\"country\": \"Brasil <3\", \"iso_cc\": \"BR\", \"tld_cc\": \".br\"}\n",
    )
    .unwrap();
    let server = Running::start(
        flag_server(&[
            "--profile",
            "local",
            "--port",
            "0",
            "--flags",
            folder.path().to_str().unwrap(),
        ]),
        1,
    );
    assert_eq!(server.get(0, "/flags/br/br.gif"), 200);
    assert_eq!(server.get(0, "/flags/jp/jp.gif"), 404);
    let page = exchange(TcpStream::connect(server.authority(0)).unwrap(), "/flags/");
    assert!(page.contains("Brasil &lt;3"), "names are escaped: {page}");
}

#[test]
fn a_configuration_file_describes_several_listeners() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("tea.toml", "rule = [{ fault = \"status\", status = 418 }]");
    write(
        "all.toml",
        r#"
        [[listener]]
        name = "fine"
        port = 0
        profile = "local"

        [[listener]]
        name = "tea"
        port = 0
        scenario = "tea.toml"

        [[listener]]
        name = "own"
        port = 0
        seed = 7
        [[listener.rule]]
        fault = "status"
        status = 503
        "#,
    );
    let config = folder.path().join("all.toml");
    let server = Running::start(flag_server(&["--config", config.to_str().unwrap()]), 3);
    let names: Vec<&str> = server.announced.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["fine", "tea", "own"]);
    assert_eq!(
        [0, 1, 2].map(|index| server.get(index, "/flags/br/br.gif")),
        [200, 418, 503]
    );
}

#[test]
fn every_problem_of_a_configuration_file_is_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("bad.toml");
    let text = r#"
        [[listener]]
        name = "a b"
        port = 70000
        profile = "local"
        [[listener]]
        name = "x"
        port = 0
        profile = "teapot"
        [[listener]]
        port = 0
        profile = "local"
        scenario = "tea.toml"
        [[listener]]
        name = "y"
        port = 0
        colour = "red"
        [[listener]]
        name = "y"
        port = 0
    "#;
    std::fs::write(&config, text).unwrap();
    let (code, message) = refusal(&["--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{message}");
    for expected in [
        "line 3: listener[1].name: give a name without spaces",
        "line 4: listener[1].port: give a port from 0 (any free one) to 65535",
        "line 9: listener[2].profile: --profile teapot: there is no such profile; take one of local, delay,",
        "line 10: listener[3].name: is missing: add it",
        "listener[3]: give a profile, a scenario or rules, and not two of them",
        "line 17: listener[4].colour: unknown key: remove it, or use one of name, port, profile, scenario, seed, capacity, rule",
        "listener[5].name: two listeners are named \"y\": rename one",
    ] {
        assert!(message.contains(expected), "{expected}\n{message}");
    }
    std::fs::write(&config, "").unwrap();
    let (code, message) = refusal(&["--config", config.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("listener: there is none: add a table that starts with [[listener]]"),
        "{message}"
    );
}

#[test]
fn a_decision_log_has_a_line_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("decisions.jsonl");
    let server = Running::start(
        flag_server(&[
            "--profile",
            "local",
            "--port",
            "0",
            "--decision-log",
            log.to_str().unwrap(),
        ]),
        1,
    );
    assert_eq!(server.get(0, "/flags/br/br.gif"), 200);
    assert_eq!(server.get(0, "/flags/xx/xx.gif"), 404);
    assert_eq!(server.get(0, "/healthz"), 200); // not a request for a flag
    let lines = loop {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.lines().count() == 2 && text.ends_with('\n') {
            break text;
        }
        std::thread::yield_now(); // it is written off the request path
    };
    let records: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut statuses: Vec<_> = records
        .iter()
        .map(|record| {
            (
                &record["path"],
                &record["sent"]["status"],
                &record["sent"]["end"],
            )
        })
        .collect();
    statuses.sort_by_key(|(path, ..)| path.to_string());
    let text = |text: &str| serde_json::Value::from(text);
    assert_eq!(
        statuses[0],
        (&text("/flags/br/br.gif"), &200.into(), &text("whole"))
    );
    assert_eq!(
        statuses[1],
        (&text("/flags/xx/xx.gif"), &404.into(), &text("whole"))
    );
    let (code, message) = refusal(&["--port", "0", "--decision-log", "/no/such/folder/log"]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("--decision-log /no/such/folder/log: cannot be written"),
        "{message}"
    );
}

#[test]
fn invalid_tls_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pem");
    std::fs::write(&file, "no pem").unwrap();
    let file = file.to_str().unwrap();
    let (code, message) = refusal(&["--port", "0", "--tls-cert", file, "--tls-key", file]);
    assert_eq!(code, Some(2));
    assert!(
        message.contains("x.pem: holds no certificate; give a chain of certificates in PEM form"),
        "{message}"
    );
    let (code, message) = refusal(&["--tls-cert", file]);
    assert_eq!(code, Some(2));
    assert!(message.contains("--tls-key <FILE>"), "{message}");
}

#[test]
fn a_seed_on_the_command_line_replaces_the_scenarios_own() {
    let statuses = |seed: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("coins.toml");
        std::fs::write(
            &file,
            "rule = [{ fault = \"status\", status = 418, probability = 0.5 }]",
        )
        .unwrap();
        let mut args = vec!["--scenario", file.to_str().unwrap(), "--port", "0"];
        args.extend(seed);
        let server = Running::start(flag_server(&args), 1);
        flags_data::POP20.map(|code| {
            let cc = code.to_lowercase();
            server.get(0, &format!("/flags/{cc}/{cc}.gif"))
        })
    };
    assert_eq!(statuses(&["--seed", "1"]), statuses(&["--seed", "1"]));
    assert_eq!(statuses(&[]), statuses(&["--seed", "20150223"]));
    assert_ne!(statuses(&["--seed", "1"]), statuses(&["--seed", "2"]));
}

#[cfg(unix)]
#[test]
fn sigterm_and_ctrl_c_end_it_gracefully_with_exit_code_0() {
    for signal in ["TERM", "INT"] {
        let server = Running::start(flag_server(&["--port", "0"]), 3);
        server.signal(signal);
        let (code, log) = server.wait();
        assert_eq!(code, Some(0), "{signal}: {log}");
        assert!(log.contains("stopped: every request was answered"), "{log}");
        assert!(log.contains("answered=0 refused=0"), "{log}");
    }
}

#[cfg(unix)]
#[test]
fn a_request_in_flight_is_answered_after_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.toml");
    std::fs::write(
        &file,
        "rule = [{ fault = \"latency\", distribution = { fixed = \"700ms\" } }]",
    )
    .unwrap();
    let server = Running::start(
        flag_server(&["--scenario", file.to_str().unwrap(), "--port", "0"]),
        1,
    );
    let mut stream = TcpStream::connect(server.authority(0)).unwrap();
    write!(stream, "GET /flags/br/br.gif HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(server.get(0, "/healthz"), 200); // so the connection before it was accepted
    server.signal("TERM");
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).unwrap();
    assert!(raw.starts_with(b"HTTP/1.1 200 OK"));
    let flag = flags_data::Catalogue::embedded()
        .get("BR".parse().unwrap())
        .unwrap()
        .clone();
    assert!(raw.ends_with(&flag.image.bytes));
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn a_port_in_use_is_one_clear_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, message) = refusal(&["--profile", "local", "--port", &port]);
    assert_eq!(code, Some(1));
    let (start, end) = message.split_once(" (").unwrap();
    assert_eq!(
        start,
        format!("error: cannot listen on 127.0.0.1:{port} for \"local\"")
    );
    assert!(end.ends_with(
        "; stop the program that has it, or choose others with --port (0: any free ports)\n"
    ));
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn usage_errors_are_one_clear_message_and_exit_code_2() {
    let missing = "/no/such/folder";
    for (args, expected) in [
        (
            &["--profile", "teapot"] as &[&str],
            "--profile teapot: there is no such profile; take one of local, delay, error,",
        ),
        (
            &["--scenario", "/no/such.toml"],
            "--scenario /no/such.toml: cannot be read",
        ),
        (
            &["--flags", missing],
            "--flags: the flags in /no/such/folder cannot be used",
        ),
        (
            &["--port", "65534"],
            "--port 65534: the 3 listeners take ports 65534 and up; choose a port below 65534",
        ),
        (&["--port", "65536"], "'--port <N>'"),
        (&["--seed", "-1"], "--seed"),
        (&["--bind", "localhost"], "'--bind <ADDR>'"),
        (&["--grace", "5"], "'--grace <DURATION>'"),
        (&["--log", "xml"], "[possible values: text, json]"),
        (&["--edition", "3"], "[possible values: 1, 2]"),
        (
            &["--profile", "local", "--scenario", "x"],
            "cannot be used with",
        ),
        (
            &["--profile", "local", "--edition", "1"],
            "cannot be used with",
        ),
        (&["--no-such-flag"], "--no-such-flag"),
        (
            &["profiles", "teapot"],
            "there is no profile \"teapot\"; `flag-server profiles` lists them",
        ),
        (&["healthcheck", "ftp://x"], "\"ftp://x\" cannot be asked"),
    ] {
        let (code, message) = refusal(args);
        assert_eq!(code, Some(2), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
        assert!(
            message.starts_with("error: ") && !message.contains("panicked"),
            "{args:?}: {message}"
        );
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "sede = 1\n[[rule]]\nfault = \"tea\"\n").unwrap();
    let (code, message) = refusal(&[
        "--scenario",
        file.to_str().unwrap(),
        "--flags",
        "/no/such/folder",
    ]);
    assert_eq!(code, Some(2));
    for expected in [
        "line 1: sede: unknown key",
        "line 3: rule[1].fault: unknown kind \"tea\"",
        "/no/such/folder",
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn an_unwritable_ready_file_is_an_error() {
    let output = output(&["--port", "0", "--ready-file", "/no/such/folder/ready.json"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        message.contains("--ready-file /no/such/folder/ready.json: cannot be written"),
        "{message}"
    );
}

#[test]
fn health_is_an_exit_code() {
    let server = Running::start(flag_server(&["--profile", "local", "--port", "0"]), 1);
    let url = &server.announced[0].1;
    for healthy in [url.clone(), format!("{url}/"), format!("{url}/healthz")] {
        assert_eq!(
            output(&["healthcheck", &healthy]).status.code(),
            Some(0),
            "{healthy}"
        );
    }
    let (code, message) = refusal(&["healthcheck", &format!("{url}/nope")]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("answered \"HTTP/1.1 404 Not Found\" instead of 200"),
        "{message}"
    );

    let dead = server.announced[0].1.clone();
    drop(server);
    let (code, message) = refusal(&["healthcheck", &dead]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("is flag-server running there?"),
        "{message}"
    );
}

#[test]
fn the_health_check_uses_the_address_of_the_environment() {
    // A free port, since the default of the second edition may be in use.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    for tls in [None, Some("true")] {
        let in_its_environment = |args: &[&str]| {
            let mut command = flag_server(args);
            command.env("FLAG_SERVER_PROFILE", "local");
            command.env("FLAG_SERVER_PORT", &port);
            command.envs(tls.map(|tls| ("FLAG_SERVER_TLS", tls)));
            command
        };
        let dead = in_its_environment(&["healthcheck"]).output().unwrap();
        assert_eq!(dead.status.code(), Some(1));
        let _server = Running::start(in_its_environment(&[]), 1);
        let health = in_its_environment(&["healthcheck"]).output().unwrap();
        assert_eq!(health.status.code(), Some(0), "{health:?}");
    }
}

#[test]
fn profiles_are_listed_and_printed_in_a_format_that_can_be_read_back() {
    let listed = String::from_utf8(output(&["profiles"]).stdout).unwrap();
    for line in listed.lines() {
        let name = line.split(' ').next().unwrap();
        let printed = String::from_utf8(output(&["profiles", name]).stdout).unwrap();
        flag_scenario::Scenario::from_toml(&printed).unwrap();
    }
    assert_eq!(listed.lines().count(), 8, "{listed}");
}

/// The standard output of a successful run.
fn printed(args: &[&str]) -> String {
    let output = output(args);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn check_describes_a_scenario_and_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (tea, servers) = (path("tea.toml"), path("servers.toml"));
    std::fs::write(
        &tea,
        "rule = [{ fault = \"status\", status = 418, match = { cc = \"BR\" } }]",
    )
    .unwrap();
    std::fs::write(
        &servers,
        "listener = [{ name = \"tea\", port = 0, scenario = \"tea.toml\", seed = 7 }, { name = \"plain\", port = 8000 }]",
    )
    .unwrap();
    assert_eq!(
        printed(&["check", &tea]),
        format!(
            "{tea} is a scenario with seed 20150223\n  status-1: all requests, for BR: status 418\n"
        )
    );
    assert_eq!(
        printed(&["check", &servers]),
        format!(
            "{servers} is a configuration of 2 listeners\n\
             tea on any free port, with seed 7\n  status-1: all requests, for BR: status 418\n\
             plain on port 8000, with seed 20150223\n  no faults\n"
        )
    );
}

#[test]
fn check_reports_every_problem_with_its_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (tea, servers, missing) = (path("tea.toml"), path("servers.toml"), path("no.toml"));
    std::fs::write(
        &tea,
        "sede = 1\n[[rule]]\nfault = \"status\"\nstatus = 99\n",
    )
    .unwrap();
    std::fs::write(
        &servers,
        "[[listener]]\nname = \"a b\"\nport = 1\n[[listener]]\nname = \"c\"\nport = 1\nscenario = \"tea.toml\"\n",
    )
    .unwrap();
    for (file, expected) in [
        (
            &tea,
            &[
                format!("error: {tea} has 2 problems\n"),
                format!("{tea}:1: sede: unknown key (did you mean seed?): remove it"),
                format!("{tea}:4: rule[1].status: invalid status 99"),
            ] as &[_],
        ),
        (
            &servers,
            &[
                format!("{servers}:2: listener[1].name: give a name"),
                format!("{servers}:7: listener[2].scenario: {tea}: line 1: sede"),
                format!("{servers}:7: listener[2].scenario: {tea}: line 4: rule[1].status"),
            ],
        ),
        (&missing, &[format!("error: {missing}: cannot be read")]),
    ] {
        let (code, message) = refusal(&["check", file]);
        assert_eq!(code, Some(2), "{message}");
        for line in expected {
            assert!(message.contains(line), "{line}\n{message}");
        }
    }
}

#[test]
fn the_server_follows_the_printed_plan() {
    let plan = printed(&[
        "plan",
        "br",
        "jp",
        "--profile",
        "bench",
        "--seed",
        "7",
        "--attempts",
        "2",
        "--format",
        "json",
    ]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(
        (&plan["scenario"], &plan["seed"]),
        (&"bench".into(), &7.into())
    );
    let server = Running::start(
        flag_server(&["--profile", "bench", "--seed", "7", "--port", "0"]),
        1,
    );
    let entries = plan["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        let path = entry["path"].as_str().unwrap();
        let reply = exchange(TcpStream::connect(server.authority(0)).unwrap(), path);
        let delay = entry["plan"]["delay_ms"].as_f64().unwrap();
        let plan = format!("plan;dur={:.3},", (delay * 1000.0).floor() / 1000.0);
        assert!(reply.contains(&plan), "{entry}\n{reply}");
    }
}

#[test]
fn the_plan_is_also_printed_as_text() {
    let table = printed(&["plan", "br", "cn", "--run", "suite-7"]);
    assert!(
        table.starts_with("scenario error, seed 20150223, run suite-7\n"),
        "{table}"
    );
    let row = " BR           1   2265.620 ms   2265.620 ms   status 418      teapot,delay ";
    assert!(table.contains(row), "{table}");
    let paths = printed(&["plan", "b", "-l", "1", "--metadata"]);
    assert!(paths.contains(" /flags/ba/metadata.json "), "{paths}");
    for (args, expected) in [
        (
            &["plan", "--attempts", "0"] as &[&str],
            "give a whole number from 1 to 1000",
        ),
        (&["plan", "--run", "é"], "at most 128 ASCII characters"),
        (&["plan", "BRA"], "each CC must be A to Z or AA to ZZ"),
        (
            &["plan", "--profile", "tea"],
            "--profile tea: there is no such profile",
        ),
        (
            &["plan", "--profile", "error", "--scenario", "x"],
            "cannot be used with",
        ),
    ] {
        let (code, message) = refusal(args);
        assert_eq!(code, Some(2), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
    }
}

#[test]
fn the_manual_and_the_completions_have_every_command_option_and_variable() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man1");
    for _ in 0..2 {
        // An existing page is replaced.
        assert_eq!(printed(&["man", "--out", pages.to_str().unwrap()]), "");
    }
    let page = |name: &str| std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
    assert_eq!(printed(&["man"]), page("flag-server"));
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

    let program = Args::command();
    let (root, root_words) = (page("flag-server"), offered("flag__server"));
    let mut all = vec![(&program, root.clone(), root_words.clone())];
    for sub in program.get_subcommands() {
        let name = sub.get_name();
        assert!(
            root.contains(&format!("\nflag\\-server\\-{name}(1)\n")),
            "{name}"
        );
        assert!(root_words.contains(&name), "{name}: {root_words:?}");
        let label = format!("flag__server__subcmd__{name}");
        all.push((sub, page(&format!("flag-server-{name}")), offered(&label)));
    }
    let mut variables = 0;
    for (command, page, words) in &all {
        for arg in command.get_arguments() {
            if let Some(long) = arg.get_long() {
                let option = format!("--{long}");
                assert!(words.contains(&&*option), "{option}: {words:?}");
                let bold = format!("\\fB{}\\fR", option.replace('-', "\\-"));
                assert!(page.contains(&bold), "{option}: {page}");
            }
            if let Some(variable) = arg.get_env() {
                let variable = variable.to_str().unwrap();
                assert!(page.contains(&format!("\\fB{variable}\\fR")), "{page}");
                variables += 1;
            }
        }
        for end in ["SEE ALSO", "EXIT STATUS"] {
            assert!(page.contains(&format!("\n.SH \"{end}\"\n")), "{page}");
        }
    }
    assert!(variables > 15);
    assert_eq!(pages.read_dir().unwrap().count(), all.len());
}

#[test]
fn the_manual_is_the_same_in_every_environment() {
    let mut command = flag_server(&["man"]);
    command
        .env("FLAG_SERVER_PORT", "1234")
        .env("FLAG_SERVER_PROFILE", "bench");
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), printed(&["man"]));
}

#[test]
fn unwritable_completions_and_pages_are_reported() {
    let (code, message) = refusal(&["completions"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("<SHELL>"), "{message}");
    let (code, message) = refusal(&["completions", "tcsh"]);
    assert_eq!(code, Some(2));
    let shells = "[possible values: bash, elvish, fish, powershell, zsh]";
    assert!(message.contains(shells), "{message}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("below");
    let (code, message) = refusal(&["man", "--out", below.to_str().unwrap()]);
    assert_eq!(code, Some(2));
    let start = format!("error: --out {}: cannot be written to (", below.display());
    assert!(message.starts_with(&start), "{message}");
    assert!(message.ends_with("); name another folder\n"), "{message}");
}

#[test]
fn a_reader_may_close_a_page_or_a_script_early() {
    for args in [&["man"] as &[&str], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = flag_server(args).stdout(writer).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
}

#[test]
fn what_is_read_has_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let large = |name: &str, size| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::File::create(&path).unwrap().set_len(size).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let toml = large("large.toml", (1 << 20) + 1);
    large("flags/br/br.gif", (16 << 20) + 1);
    let flags = folder.path().join("flags");
    for (args, expected) in [
        (
            &["check", &toml] as &[&str],
            "large.toml: cannot be read (it is larger than the limit of 1 MiB); name a smaller",
        ),
        (
            &["plan", "--scenario", &toml],
            "larger than the limit of 1 MiB); name a smaller TOML file",
        ),
        (
            &["--scenario", &toml],
            "larger than the limit of 1 MiB); name a smaller TOML file",
        ),
        (
            &["--config", &toml],
            "larger than the limit of 1 MiB); name a smaller TOML file",
        ),
        (
            &["--flags", flags.to_str().unwrap()],
            "br.gif: is larger than the limit of 16 MiB; put a smaller file there",
        ),
        #[cfg(target_os = "linux")]
        (
            &["check", "/dev/zero"],
            "/dev/zero: cannot be read (it is larger than the limit of 1 MiB)",
        ),
    ] {
        let (code, message) = refusal(args);
        assert_eq!(code, Some(2), "{args:?}: {message}");
        assert!(message.contains(expected), "{args:?}: {message}");
    }
}
