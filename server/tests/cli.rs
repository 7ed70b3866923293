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

fn with_variables(args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = flag_server(args);
    command.envs(variables.iter().copied());
    command
}

#[test]
fn what_is_typed_beats_variables_also_where_one_excludes_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("own.toml");
    std::fs::write(&scenario, "seed = 1").unwrap();
    let own = ["--scenario", scenario.to_str().unwrap(), "--port", "0"];
    let profile = ["--profile", "wan", "--port", "0"];
    let short = ["--delay", "1ms", "--port", "0"];
    let edition = ["--edition", "1", "--port", "0"];
    let missing = [("FLAG_SERVER_CONFIG", "/nowhere/servers.toml")];
    let several = [
        ("FLAG_SERVER_CONFIG", "/nowhere/servers.toml"),
        ("FLAG_SERVER_PROFILE", "local"),
        ("FLAG_SERVER_DELAY", "1s"),
    ];
    for (args, name, listeners) in [
        (own, "own", 1),
        (profile, "wan", 1),
        (short, "delay", 1),
        (edition, "local", 3),
    ] {
        for variables in [&missing[..], &several] {
            let command = with_variables(&args, variables);
            let running = Running::start(command, listeners);
            assert_eq!(running.announced[0].0, name, "{args:?} {variables:?}");
        }
    }
    let plan = ["plan", own[0], own[1], "BR"];
    let planned = with_variables(&plan, &several).output().unwrap();
    let planned = String::from_utf8(planned.stdout).unwrap();
    assert!(planned.starts_with("scenario own, seed 1"), "{planned}");
    // Of two variables neither was typed.
    let refused = with_variables(&["--port", "0"], &several[1..])
        .output()
        .unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("cannot be used with"), "{message}");
}

#[test]
fn an_empty_variable_counts_as_unset_and_so_does_the_address_of_a_service() {
    for value in ["", "tcp://10.0.0.7:8000"] {
        let variables = [
            ("FLAG_SERVER_PROFILE", ""),
            ("FLAG_SERVER_SEED", ""),
            ("FLAG_SERVER_TLS", ""),
            ("FLAG_SERVER_BIND", ""),
            ("FLAG_SERVER_PORT", value),
            ("FLAG_SERVER_SCENARIO", ""),
        ];
        let running = Running::start(
            with_variables(&["--profile", "local", "--port", "0"], &variables),
            1,
        );
        assert!(running.announced[0].1.starts_with("http://127.0.0.1:"));
        let checked = with_variables(&["check", "/nowhere"], &variables)
            .output()
            .unwrap();
        let message = String::from_utf8(checked.stderr).unwrap();
        assert!(message.contains("/nowhere: cannot be read"), "{message}");
    }
}

#[test]
fn a_switch_is_a_variable_that_says_yes_or_no() {
    let start = |value| {
        let args = ["--profile", "local", "--port", "0"];
        with_variables(&args, &[("FLAG_SERVER_TLS", value)])
    };
    for (value, scheme) in [
        ("1", "https:"),
        ("true", "https:"),
        ("0", "http:"),
        ("no", "http:"),
    ] {
        let running = Running::start(start(value), 1);
        assert!(running.announced[0].1.starts_with(scheme), "{value}");
    }
    let refused = start("perhaps").output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{message}");
    assert!(message.contains("--tls"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_stands_for_no_option_is_warned_about() {
    let variables = [
        ("FLAG_SERVER_PROFLE", "wan"),
        ("FLAG_SERVER_EMPTY", ""),
        ("FLAG_SERVER_SERVICE_HOST", "10.0.0.7"),
        ("FLAG_SERVER_PORT_8000_TCP_PORT", "8000"),
        ("FLAG_SERVER_HEALTHCHECK_URL", "http://127.0.0.1:1"),
    ];
    let command = with_variables(&["--profile", "local", "--port", "0"], &variables);
    let running = Running::start(command, 1);
    running.signal("TERM");
    let (code, log) = running.wait();
    assert_eq!(code, Some(0), "{log}");
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    let expected =
        "FLAG_SERVER_PROFLE: no option has this variable (did you mean FLAG_SERVER_PROFILE?)";
    assert!(warnings[0].contains(expected), "{log}");
}

#[test]
fn the_control_plane_is_printed_last_and_in_the_ready_file() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let args = [
        "--port",
        "0",
        "--control",
        "127.0.0.1:0",
        "--ready-file",
        ready.to_str().unwrap(),
    ];
    let running = Running::start(flag_server(&args), 4);
    let (name, url) = &running.announced[3];
    assert_eq!(name, "control");
    let ready: serde_json::Value = serde_json::from_slice(&wait_for_file(&ready)).unwrap();
    assert_eq!(ready["control"], **url);
    assert_eq!(ready["listeners"].as_array().unwrap().len(), 3);
    assert_eq!(running.get(3, "/api/listeners"), 403); // its host is x
    let one = ["--profile", "local", "--port", "0"];
    let token = [
        &one[..],
        &["--control", "[::1]:0", "--control-token", "secret"],
    ]
    .concat();
    if let Ok(socket) = TcpListener::bind("[::1]:0") {
        drop(socket);
        let running = Running::start(flag_server(&token), 2);
        assert_eq!(running.get(1, "/api/listeners"), 401);
    }
    for (more, expected) in [
        (
            &["--control", "0.0.0.0:0"][..],
            "give a --control-token too",
        ),
        (&["--control", "9000"], "give an IP address and a port"),
        (&["--control-token", "secret"], "--control"),
        (
            &["--control", "127.0.0.1:0", "--control-token", "two words"],
            "without spaces",
        ),
        (
            &["--control", "127.0.0.1:0", "--control-records", "maybe"],
            "on, off",
        ),
    ] {
        let (code, message) = refusal(&[&one, more].concat());
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_server_ends_with_what_holds_its_standard_input() {
    // One client waits for ever: it does not keep the server.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("silent.toml");
    std::fs::write(&file, "rule = [{ fault = 'stall', after = '0B' }]").unwrap();
    let path = file.to_str().unwrap();
    let args = [
        "--scenario",
        path,
        "--port",
        "0",
        "--grace",
        "1h",
        "--until-stdin-closes",
    ];
    let mut command = flag_server(&args);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command, 1);
    let mut client = TcpStream::connect(running.authority(0)).unwrap();
    client
        .write_all(b"GET /flags/br/br.gif HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut head = [0; 12];
    client.read_exact(&mut head).unwrap();
    let mut input = running.child.stdin.take().unwrap();
    input
        .write_all(b"what comes before the end is not read\n")
        .unwrap();
    assert!(running.child.try_wait().unwrap().is_none());
    drop(input);
    assert!(running.child.wait().is_ok());
    // Without the option, an empty standard input, as containers have it, changes nothing.
    let mut running = Running::start(flag_server(&["--profile", "local", "--port", "0"]), 1);
    assert_eq!(running.get(0, "/flags/br/br.gif"), 200);
    assert!(running.child.try_wait().unwrap().is_none());
}

#[test]
fn a_configuration_file_can_open_the_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers.toml");
    let write = |control: &str, name: &str| {
        let text = format!("control = {control}\n[[listener]]\nname = '{name}'\nport = 0\n");
        std::fs::write(&file, text).unwrap();
    };
    let path = file.to_str().unwrap();
    write("'localhost:0'", "one");
    for more in [&[][..], &["--control", "127.0.0.1:0"]] {
        let running = Running::start(flag_server(&[&["--config", path], more].concat()), 2);
        assert_eq!(running.announced[1].0, "control");
        assert_eq!(running.get(0, "/flags/br/br.gif"), 200);
    }
    let token = ["--config", path, "--control-token", "secret"];
    let running = Running::start(flag_server(&token), 2);
    assert_eq!(running.get(1, "/api/listeners"), 401);
    for (control, name, expected) in [
        ("'9000'", "one", "control: give an IP address and a port"),
        ("9000", "one", "control: "),
        (
            "'127.0.0.1:0'",
            "control",
            "the control plane has this name",
        ),
        ("'0.0.0.0:0'", "one", "give a --control-token too"),
    ] {
        write(control, name);
        let (code, message) = refusal(&["--config", path]);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn short_options_are_a_scenario() {
    let served = ["--delay", "1ms..2ms", "--errors", "100%:429", "--port", "0"];
    let running = Running::start(flag_server(&served), 1);
    assert_eq!(running.announced[0].0, "errors-delay");
    assert_eq!(running.get(0, "/flags/br/br.gif"), 429);
    let planned = printed(&["plan", "--delay", "200ms", "BR", "--format", "json"]);
    let planned: serde_json::Value = serde_json::from_str(&planned).unwrap();
    assert_eq!(planned["entries"][0]["plan"]["delay_ms"], 200.0);
    for (args, expected) in [
        (&["--delay", "200"][..], "--delay"),
        (&["--errors", "25"], "as in 25% or 25%:429"),
        (
            &["--errors", "25%", "--profile", "local"],
            "cannot be used with",
        ),
        (&["--delay", "1s", "--edition", "1"], "cannot be used with"),
    ] {
        let (code, message) = refusal(args);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
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
        "line 17: listener[4].colour: unknown key: remove it, or use one of name, port, profile, scenario, seed, count_attempts, capacity, rule",
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

#[cfg(unix)]
#[test]
fn a_decision_log_whose_reader_is_paused_loses_records_and_does_not_delay_the_end() {
    const REQUESTS: u64 = 20; // a megabyte, and a pipe holds 64 KiB
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::File::open(fifo).unwrap()
    });
    let mut server = Running::start(
        flag_server(&[
            "--profile",
            "local",
            "--port",
            "0",
            "--grace",
            "100ms",
            "--decision-log",
            fifo.to_str().unwrap(),
        ]),
        1,
    );
    let _paused = reader.join().unwrap();
    let path = format!("/flags/{}", "x".repeat(50_000));
    for _ in 0..REQUESTS {
        assert_eq!(server.get(0, &path), 404);
    }
    server.signal("TERM");
    let start = std::time::Instant::now();
    while server.child.try_wait().unwrap().is_none() {
        assert!(start.elapsed().as_secs() < 30, "it still runs");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut log = String::new();
    let mut stderr = server.child.stderr.take().unwrap();
    stderr.read_to_string(&mut log).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(1));
    let missing = log.split(" records are missing, because").next().unwrap();
    let missing: u64 = missing.rsplit(' ').next().unwrap().parse().unwrap();
    // A pipe and a buffer hold the first.
    assert!((REQUESTS - 5..=REQUESTS).contains(&missing), "{log}");
}

/// The status line of an answer from this address; none if nothing listens there.
fn status_at(ip: &str, port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((ip, port)).ok()?;
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().map(str::to_owned)
}

#[test]
fn the_default_is_both_loopbacks_and_bind_takes_several_addresses_and_names() {
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let is_linux = cfg!(target_os = "linux"); // elsewhere, 127.0.0.2 is no address of the machine
    let (v4, v6, other) = ("127.0.0.1", "::1", "127.0.0.2");
    let mut cells: Vec<(&[&str], Option<&str>, Vec<&str>)> = vec![
        (&[], None, vec![v4, v6]),
        (&["--bind", "127.0.0.1"], None, vec![v4]),
        (&["--bind", "localhost"], None, vec![v4]),
        (&["--bind", "0.0.0.0"], None, vec![v4]),
    ];
    if is_linux {
        cells.extend([
            (
                &["--bind", "127.0.0.2,127.0.0.1"] as &[&str],
                None,
                vec![other, v4],
            ),
            (
                &["--bind", "127.0.0.2", "--bind", "localhost"],
                None,
                vec![other, v4],
            ),
            (&[], Some("127.0.0.1,127.0.0.2"), vec![v4, other]),
            (&["--bind", "127.0.0.1"], Some("127.0.0.2"), vec![v4]),
        ]);
    }
    if has_ipv6 {
        cells.extend([
            (&["--bind", "::1"] as &[&str], None, vec![v6]),
            (&["--bind", "0.0.0.0,::"], None, vec![v4, v6]),
        ]);
    }
    for (args, environment, expected) in cells {
        let mut command = flag_server(&[&["--profile", "local", "--port", "0"], args].concat());
        command.envs(environment.map(|bind| ("FLAG_SERVER_BIND", bind)));
        let server = Running::start(command, 1);
        let (_, url) = &server.announced[0];
        let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
        let printed = if expected[0] == v6 {
            "[::1]"
        } else {
            expected[0]
        };
        assert_eq!(*url, format!("http://{printed}:{port}"), "{args:?}");
        for ip in [v4, v6, other] {
            // What a name stands for beside 127.0.0.1, and which addresses 0.0.0.0 has, differs.
            let is_open = args
                .iter()
                .any(|arg| ["localhost", "0.0.0.0", "0.0.0.0,::"].contains(arg));
            let is_there = ip != v6 || has_ipv6;
            let found = status_at(ip, port);
            match expected.contains(&ip) && is_there {
                true => assert_eq!(found.as_deref(), Some("HTTP/1.1 200 OK"), "{args:?} {ip}"),
                false => assert!(is_open || found.is_none(), "{args:?} {ip}"),
            }
        }
    }
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

/// A device has no end, and need not have lines.
#[cfg(target_os = "linux")]
#[test]
fn a_certificate_and_a_key_are_read_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.pem");
    let chain = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&file, chain).unwrap();
    let chain = file.to_str().unwrap();
    for (chain, key, expected) in [
        ("/dev/zero", chain, "a chain of certificates"),
        (chain, "/dev/zero", "a private key"),
    ] {
        let (code, message) = refusal(&["--port", "0", "--tls-cert", chain, "--tls-key", key]);
        assert_eq!(code, Some(2), "{message}");
        let expected =
            format!("/dev/zero: it is larger than the limit of 1 MiB; give {expected} in PEM form");
        assert!(message.contains(&expected), "{message}");
    }
}

/// A certificate for localhost, valid between these years, and its key, as PEM files.
fn certificate(folder: &Path, from: i32, to: i32) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let write = |name: String, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let name = format!("{from}-{to}");
    (
        write(format!("{name}.pem"), certificate.pem()),
        write(format!("{name}-key.pem"), key.serialize_pem()),
    )
}

#[test]
fn a_key_that_does_not_fit_or_has_a_password_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(folder.path(), 2020, 2999);
    let (_, other_key) = certificate(folder.path(), 2021, 2999);
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pkcs8 = file(
        "pkcs8.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let traditional = file(
        "traditional.pem",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    for (cert, key, expected) in [
        (
            &cert,
            &pkcs8,
            "pkcs8.pem: the key is encrypted; give it without its password",
        ),
        (
            &cert,
            &traditional,
            "traditional.pem: the key is encrypted;",
        ),
        (&cert, &other_key, "the certificate cannot be used"),
        (&cert, &cert, "give a private key in PEM form"),
        (&key, &key, "holds no certificate"),
    ] {
        let (code, message) = refusal(&["--port", "0", "--tls-cert", cert, "--tls-key", key]);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_certificate_that_is_not_valid_now_is_warned_about_and_served() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, expected) in [
        (2000, 2001, Some("expired on Jan  1 00:00:00 2001")),
        (2998, 2999, Some("is not valid before Jan  1 00:00:00 2998")),
        (2000, 2999, None),
    ] {
        let (cert, key) = certificate(folder.path(), from, to);
        let mut child = flag_server(&[
            "--profile",
            "local",
            "--port",
            "0",
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.starts_with("local https://127.0.0.1:"), "{line}");
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            log.contains("clients will refuse it"),
            expected.is_some(),
            "{log}"
        );
        assert!(log.contains(expected.unwrap_or_default()), "{log}");
    }
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
        flag_server(&[
            "--scenario",
            file.to_str().unwrap(),
            "--port",
            "0",
            "--threads",
            "1",
        ]),
        1,
    );
    let mut stream = TcpStream::connect(server.authority(0)).unwrap();
    write!(stream, "GET /flags/br/br.gif HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(server.get(0, "/healthz"), 200); // by one thread, so the request before it is under way
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

/// The server with a hard limit of open files that it cannot raise. Root can raise any, so it has
/// to be somebody else, who may not see where the program was built.
#[cfg(unix)]
fn with_open_files(hard: u64, folder: &Path, args: &[&str]) -> Command {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    const NOBODY: u32 = 65_534;
    let raise = ["-c", "ulimit -Hn 64 && ulimit -Hn 65"];
    let is_root = Command::new("sh")
        .args(raise)
        .output()
        .unwrap()
        .status
        .success();
    let mut program = std::path::PathBuf::from(env!("CARGO_BIN_EXE_flag-server"));
    let mut command = Command::new("sh");
    if is_root {
        command.gid(NOBODY).uid(NOBODY);
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        let copy = folder.join("flag-server");
        if !copy.exists() {
            let linked = std::fs::hard_link(&program, &copy);
            linked
                .or_else(|_| std::fs::copy(&program, &copy).map(drop))
                .unwrap();
        }
        program = copy;
    }
    let script = format!("ulimit -Sn 32 && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    command
        .args(["-c", &script])
        .arg(program)
        .args(args)
        .stdin(Stdio::null());
    command
}

#[cfg(unix)]
#[test]
fn fewer_open_files_than_connections_are_told_before_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["--profile", "local", "--port", "0", "--threads", "2"];
    for hard in [64, 256, 1024] {
        let running = Running::start(with_open_files(hard, folder.path(), &serve), 1);
        let open = || {
            let mut stream = TcpStream::connect(running.authority(0)).unwrap();
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                .unwrap();
            stream
        };
        let left = hard - 33;
        // This program has a limit, too.
        let mut all: Vec<TcpStream> = (0..left.min(250)).map(|_| open()).collect();
        for stream in &mut all {
            stream.read_exact(&mut [0; 15]).unwrap();
        }
        running.signal("TERM");
        drop(all);
        let (code, log) = running.wait();
        assert_eq!(code, Some(0), "{log}");
        let wanted = 65_536 + 33;
        let expected = format!(
            "--max-connections 65536: takes {wanted} open files, and the system allows {hard}; raise the limit (ulimit -n {wanted}), \
             or {left} connections at a time are accepted, and more wait"
        );
        assert_eq!(log.matches(&expected).count(), 1, "{log}");
        assert!(!log.contains("cannot accept"), "{log}");

        let few = [&serve[..], &["--max-connections", "30"]].concat();
        let running = Running::start(with_open_files(hard, folder.path(), &few), 1);
        running.signal("TERM");
        let (_, log) = running.wait();
        assert!(!log.contains("open files"), "{log}");
    }
    for (more, is_told) in [(&["--max-connections", "65536"][..], true), (&[], false)] {
        let args = [&serve[..], more].concat();
        let running = Running::start(with_open_files(2048, folder.path(), &args), 1);
        running.signal("TERM");
        let (_, log) = running.wait();
        assert_eq!(log.contains("and the system allows 2048"), is_told, "{log}");
    }
    let refused = with_open_files(33, folder.path(), &serve).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(
        text,
        "error: the server: takes 34 open files, and the system allows 33; raise the limit (ulimit -n 34)\n"
    );
    drop(Running::start(
        with_open_files(34, folder.path(), &serve),
        1,
    ));
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
        (
            &["--bind", "127.0.0.1:80"],
            "--bind: \"127.0.0.1:80\" has no address",
        ),
        (
            &["--bind", "", "--port", "0"],
            "--bind: \"\" has no address",
        ),
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
fn a_server_that_answers_too_slowly_is_not_healthy() {
    // Each byte comes soon after the one before it, and there are many.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let trickling = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let answer = b"HTTP/1.1 200 OK\r\nx: ".iter();
        for byte in answer.chain([b'y'; 300].iter()) {
            if client.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("the health check has read everything");
    });
    let (code, message) = refusal(&["healthcheck", &url]);
    assert_eq!(code, Some(1));
    assert!(
        message.contains("no answer (not within 2s); is flag-server running there?"),
        "{message}"
    );
    trickling.join().unwrap();
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
