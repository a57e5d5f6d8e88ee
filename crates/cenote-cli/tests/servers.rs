//! What `cenote stress` shows of a service of several servers, and of chaos among them.

mod program;

use program::{Finished, Server, closed_port, fresh_path, program, run, stress};
use serde_json::Value;

fn json(arguments: &[&str]) -> Value {
    parsed(&stress(&[&["--json", "-"], arguments].concat()))
}

fn parsed(finished: &Finished) -> Value {
    assert_eq!(finished.status, Some(0), "{finished:?}");
    serde_json::from_str(&finished.stdout).expect("the output is JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The servers of a run.
fn servers(run: &Value) -> &[Value] {
    list(&run["endpoints"]["endpoints"])
}

fn named<'a>(run: &'a Value, name: &str) -> &'a Value {
    let those = servers(run).iter().find(|server| server["name"] == name);
    those.unwrap_or_else(|| panic!("{name} is not in {run}"))
}

#[test]
fn each_server_has_a_row_in_the_table() {
    let finished = stress(&["--servers", "3", "--tls", "off"]).succeeded();
    for part in [
        "20 users on 3 embedded servers, no TLS",
        "exclusive pool of 10 each",
        "Servers, no pool",
        "Servers, exclusive pool of 10 each, p2c: 3 endpoints of a fixed list, version 1",
        "Servers, shared pool of 1 each, p2c: 3 endpoints of a fixed list, version 1",
        "due share",
        "in flight",
        "condition",
        "33.3 %",
    ] {
        assert!(
            finished.stdout.contains(part),
            "{part:?} is not in: {}",
            finished.stdout
        );
    }
    let rows = finished
        .stdout
        .lines()
        .filter(|line| line.starts_with("127.0.0.1:") && line.contains(" %"));
    assert_eq!(rows.count(), 3 * 3, "{}", finished.stdout);
}

#[test]
fn the_json_has_each_server_now_and_over_time() {
    let results = json(&[
        "--servers",
        "3",
        "--tls",
        "off",
        "--balance",
        "least-loaded",
    ]);
    let modes: Vec<_> = list(&results["runs"])
        .iter()
        .map(|run| &run["mode"])
        .collect();
    assert_eq!(modes, ["no_pool", "exclusive", "shared"]);
    let pools = &list(&results["runs"])[1..];
    for pool in pools {
        assert_eq!(pool["endpoints"]["balance"], "least-loaded");
        assert_eq!(pool["endpoints"]["discovery"]["version"], 1);
        assert_eq!(servers(pool).len(), 3);
    }
    for run in list(&results["runs"]) {
        let shares: f64 = servers(run)
            .iter()
            .filter_map(|server| server["share"].as_f64())
            .sum();
        assert!((shares - 1.0).abs() < 1e-6, "{run}");
        for server in servers(run) {
            assert!(server["request_us"]["p99"].is_number(), "{server}");
            let points = list(&server["points"]);
            let requests = points.iter().filter_map(|point| point["requests"].as_u64());
            // Those under way when the last look was taken are in no point.
            assert!(requests.sum::<u64>() <= server["requests"].as_u64().expect("a number"));
            assert!(!points.is_empty());
        }
    }
    for server in pools.iter().flat_map(servers) {
        let status = &server["status"];
        let due = status["due_share"].as_f64().expect("a number");
        assert!((due - 1.0 / 3.0).abs() < 1e-6, "{server}");
        assert_eq!(status["condition"], "up");
        assert!(status["connections"].as_u64() <= Some(10), "{server}");
        assert_eq!(server["conditions"][0]["condition"], "up");
    }
}

#[test]
fn every_rule_serves() {
    for rule in ["p2c", "peak-ewma", "least-loaded", "round-robin", "random"] {
        let modes = ["--servers", "2", "--mode", "exclusive,shared"];
        let results = json(&[&modes[..], &["--balance", rule]].concat());
        assert_eq!(list(&results["runs"]).len(), 2);
        for run in list(&results["runs"]) {
            assert_eq!(run["endpoints"]["balance"], rule);
            assert_eq!(run["errors"], Value::Array(Vec::new()));
            assert!(run["requests"].as_u64() > Some(0), "{run}");
        }
    }
}

/// What `peak-ewma` goes by: that it does is shown by the pool's own tests and the simulations.
#[test]
fn the_pool_is_told_how_long_each_server_s_answers_take() {
    let results = json(&[
        "--servers",
        "2",
        "--mode",
        "exclusive,shared",
        "--balance",
        "peak-ewma",
    ]);
    for run in list(&results["runs"]) {
        let served = servers(run).iter();
        let served = served.filter(|server| server["requests"].as_u64() > Some(0));
        let told = served.map(|server| server["status"]["latency_us"].as_f64());
        let told: Vec<_> = told.collect();
        assert!(!told.is_empty());
        assert!(told.iter().all(|latency| *latency > Some(0.0)), "{told:?}");
    }
}

#[test]
fn a_shared_pool_has_as_many_connections_to_each_server_as_was_said() {
    let load = ["stress", "--users", "20", "--duration", "2s", "--json", "-"];
    let several = ["--servers", "3", "--tls", "off", "--mode", "shared"];
    let each = ["--shared-connections", "2"];
    let results = parsed(&run(&[&load[..], &several, &each].concat()));
    let run = &results["runs"][0];
    assert_eq!(servers(run).len(), 3);
    for server in servers(run) {
        assert!(server["requests"].as_u64() > Some(0), "{server}");
        assert_eq!(server["status"]["connections"], 2, "{server}");
    }
}

#[test]
fn users_of_a_shared_pool_are_served_by_those_that_live() {
    let server = Server::echo();
    let gone = format!("127.0.0.1:{}", closed_port());
    let target = format!("tcp://{gone},{}", server.address);
    let results = json(&["--mode", "shared", &target]);
    let run = &results["runs"][0];
    assert_eq!(run["errors"], Value::Array(Vec::new()));
    let condition = named(run, &gone)["status"]["condition"].as_str();
    assert!(
        condition.is_some_and(|condition| condition.starts_with("down, ")),
        "{run}"
    );
}

#[test]
fn a_slow_server_answers_later_by_what_was_said() {
    let slow = ["--servers", "3", "--slow", "1", "--slow-by", "20ms"];
    let results = json(&[&slow[..], &["--mode", "exclusive"]].concat());
    let is_slow = |server: &&Value| server["request_us"]["p50"].as_f64() >= Some(20_000.0);
    let target = results["target"].as_str().expect("a text");
    assert!(target.ends_with("1 of them 20 ms slower"), "{target}");
    assert!(servers(&results["runs"][0]).iter().filter(is_slow).count() >= 1);
}

#[test]
fn servers_elsewhere_are_called_by_where_they_are() {
    let [one, other] = [Server::echo(), Server::echo()];
    let target = format!("tcp://{},{}", one.address, other.address);
    let results = json(&[&target]);
    assert_eq!(results["target"], target);
    for run in list(&results["runs"]) {
        for server in [&one, &other] {
            let requests = &named(run, &server.address.to_string())["requests"];
            assert!(requests.as_u64() > Some(0), "{run}");
        }
    }
}

#[test]
fn a_server_that_is_gone_is_shown_as_down_with_why_and_the_others_serve() {
    let server = Server::echo();
    let gone = format!("127.0.0.1:{}", closed_port());
    let target = format!("tcp://{gone},{}", server.address);
    let results = json(&["--mode", "exclusive", &target]);
    let run = &results["runs"][0];
    assert_eq!(run["errors"], Value::Array(Vec::new()));
    let gone = named(run, &gone);
    let condition = gone["status"]["condition"].as_str().expect("a text");
    assert!(condition.starts_with("down, "), "{gone}");
    let error = gone["last_error"].as_str().expect("a text");
    assert!(error.contains("refused"), "{gone}");
    let notes = list(&run["endpoints"]["notes"]);
    let says = |note: &Value| {
        note.as_str()
            .is_some_and(|note| note.starts_with("Down for a while"))
    };
    assert!(notes.iter().any(says), "{notes:?}");
}

#[test]
fn a_server_that_answers_nothing_is_given_up_on_and_ejected() {
    let (server, frozen) = (Server::echo(), Server::hang());
    let target = format!("tcp://{},{}", frozen.address, server.address);
    let load = ["stress", "--users", "20", "--duration", "3s", "--json", "-"];
    let limit = ["--mode", "exclusive", "--request-timeout", "20ms", &target];
    let results = parsed(&run(&[&load[..], &limit].concat()));
    let run = &results["runs"][0];
    let frozen = named(run, &frozen.address.to_string());
    assert_eq!(frozen["errors"][0]["kind"], "request: timed out");
    let was = list(&frozen["conditions"])
        .iter()
        .map(|since| &since["condition"]);
    assert!(
        was.into_iter().any(|condition| condition == "ejected"),
        "{frozen}"
    );
    let notes = list(&run["endpoints"]["notes"]);
    let says = |note: &Value| {
        note.as_str()
            .is_some_and(|note| note.starts_with("Ejected"))
    };
    assert!(notes.iter().any(says), "{notes:?}");
}

#[test]
fn of_many_servers_the_table_shows_the_extremes_and_says_how_many_are_left_out() {
    let many = ["--servers", "30", "--tls", "off", "--mode", "exclusive"];
    let finished = stress(&many).succeeded();
    let rows = finished
        .stdout
        .lines()
        .filter(|line| line.starts_with("127.0.0.1:") && line.contains(" %"));
    assert_eq!(rows.count(), 20, "{}", finished.stdout);
    assert!(
        finished
            .stdout
            .contains("10 servers between those with the fewest and the most"),
        "{}",
        finished.stdout
    );
}

#[test]
fn the_tables_of_servers_are_readable_in_50_columns() {
    let load = ["stress", "--users", "20", "--duration", "400ms"];
    let mut command = program(&[&load[..], &["--chaos", "--tls", "off"]].concat());
    let output = command.env("COLUMNS", "50").output();
    let finished = Finished::from(output.expect("cenote starts")).succeeded();
    for line in finished.stdout.lines() {
        assert!(
            line.chars().count() <= 50,
            "{line:?} is in: {}",
            finished.stdout
        );
    }
    for block in ["server 127.0.0.1:", "Chaos (--seed "] {
        let begins = |line: &&str| line.starts_with(block);
        assert!(finished.stdout.lines().any(|line| begins(&line)), "{block}");
    }
}

/// What happens in the chaos of a run.
fn steps(run: &Value) -> Vec<(&Value, &Value)> {
    let steps = list(&run["chaos"]).iter();
    steps
        .map(|step| (&step["action"], &step["server"]))
        .collect()
}

#[test]
fn chaos_is_the_same_in_each_run_and_tells_what_each_step_cost() {
    let results = json(&["--chaos", "--seed", "7", "--tls", "off"]);
    assert_eq!(results["seed"], 7);
    let [without, with, shared] = [0, 1, 2].map(|run| &results["runs"][run]);
    assert_eq!(steps(without), steps(with));
    assert_eq!(steps(with), steps(shared));
    for action in ["kill", "freeze", "restore", "add"] {
        let happened = steps(with).iter().any(|(happened, _)| *happened == action);
        assert!(happened, "no {action} in {with}");
    }
    for step in list(&with["chaos"]).iter().chain(list(&shared["chaos"])) {
        assert!(step["failed"].is_u64(), "{step}");
        assert!(step["whole_after_s"].is_number() || step["whole_after_s"].is_null());
    }
    let added = steps(with)
        .iter()
        .find(|step| *step.0 == "add")
        .map(|step| step.1.clone());
    let added = added.expect("one was added");
    assert!(
        servers(with).iter().any(|server| server["name"] == added),
        "{with}"
    );
    assert!(
        with["endpoints"]["discovery"]["endpoints"].as_u64() >= Some(4),
        "{with}"
    );
}

#[test]
fn a_seed_repeats_the_chaos_and_is_shown() {
    let chaos = |seed: &str| {
        let results = json(&[
            "--chaos",
            "--seed",
            seed,
            "--tls",
            "off",
            "--mode",
            "exclusive",
        ]);
        let run = &results["runs"][0];
        let actions = list(&run["chaos"])
            .iter()
            .map(|step| step["action"].clone());
        actions.collect::<Vec<_>>()
    };
    assert_eq!(chaos("11"), chaos("11"));
    let finished = stress(&["--chaos", "--mode", "exclusive"]).succeeded();
    let first = finished.stdout.lines().next().expect("there is output");
    assert!(
        first.contains("3 embedded servers") && first.contains("with chaos (--seed "),
        "{first}"
    );
    for part in [
        "Chaos",
        " kill 127.0.0.1:",
        " freeze 127.0.0.1:",
        " add 127.0.0.1:",
    ] {
        assert!(finished.stdout.contains(part), "{}", finished.stdout);
    }
}

#[test]
fn the_page_plots_each_server_over_time_with_what_befell_it() {
    let path = fresh_path("servers.html");
    let path_text = path.to_str().expect("UTF-8");
    stress(&["--chaos", "--tls", "off", "--report", path_text]).succeeded();
    let page = std::fs::read_to_string(&path).expect("it can be read");
    for part in [
        "<h2>Chaos</h2>",
        "Share of each server over time, no pool",
        "99th percentile of each server's answers over time, exclusive pool of 10 each",
        "Condition of each server over time, exclusive pool of 10 each",
        "class=\"marks\"",
        ">freeze<",
    ] {
        assert!(page.contains(part), "{part:?} is not in the page");
    }
    // Rate, two latencies, two plots of each mode's states; two plots of the servers of each, and the pools' conditions.
    assert_eq!(page.matches("<svg").count(), 1 + 2 + 3 * 2 + 3 * 2 + 2);
    for unfit in ["NaN", "http:", "//", "<script"] {
        assert!(!page.contains(unfit), "{unfit:?} is in the page");
    }
}
