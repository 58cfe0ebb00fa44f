//! What `--json` prints, as `docs/events.md` promises it.

use crate::run::Place;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Every event, and the result, which is the last line.
fn events(place: &Place, args: &[&str]) -> Vec<Value> {
    let ran = place.run(args.iter().copied().chain(["--json"])).expect_success();
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.last().unwrap().get("event").is_none(), "the result comes last: {}", ran.stdout);
    lines
}

/// Every number as it is promised; answers the names of the tasks.
fn check(events: &[Value]) -> BTreeSet<String> {
    let documented = include_str!("../docs/events.md");
    let mut running: BTreeMap<&str, (Option<u64>, u64)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for event in events.iter().filter(|event| event.get("event").is_some()) {
        let name = event["event"].as_str().unwrap();
        assert!(documented.contains(&format!("| `{name}` |")), "{name} is not documented");
        let Some(task) = event["task"].as_str() else { continue };
        let bytes = event["bytes"].as_u64();
        if name == "task-start" {
            assert!(running.insert(task, (bytes, 0)).is_none(), "{task} begins twice");
            seen.insert(task.to_owned());
            continue;
        }
        let (of, before) = running.get_mut(task).unwrap_or_else(|| panic!("{task} did not begin"));
        match name {
            "task-progress" => {
                assert!(bytes >= Some(*before), "{task} goes backwards: {event} after {before}");
                assert_eq!(event["of"].as_u64(), *of);
                assert!(of.is_none_or(|of| bytes <= Some(of)), "{event}");
                *before = bytes.unwrap();
            }
            "task-end" => {
                assert!(bytes >= Some(*before), "{event} after {before}");
                assert!(of.is_none() || bytes == *of, "{task} ends with {bytes:?} of {of:?}");
                running.remove(task);
            }
            _ => assert!(event["file"].is_string(), "{event}"),
        }
    }
    assert!(running.is_empty(), "not ended: {running:?}");
    seen
}

#[test]
fn every_long_step_tells_bytes_and_ends_with_all_of_them() {
    let place = Place::new();
    let tasks = check(&events(&place, &["bundle", "--no-sign", "--out", "kit"]));
    for task in ["spark.safetensors", "what goes in", "fieldforge-kit.tar.zst"] {
        assert!(tasks.contains(task), "{task} is missing in {tasks:?}");
    }
    assert!(tasks.iter().any(|task| task.ends_with("files in all")), "{tasks:?}");
    let tasks = check(&events(&place, &["verify", "kit"]));
    assert!(tasks.contains("fieldforge-kit.tar.zst"), "{tasks:?}");
    check(&events(&place, &["install", "kit", "--allow-unsigned", "--home", "home"]));
    check(&events(&place, &["install", "kit", "--allow-unsigned", "--home", "home"]));
    assert!(check(&events(&place, &["verify", "home"])).contains("installed files"));
    assert!(!check(&events(&place, &["selftest", "--home", "home"])).is_empty());
    assert!(!check(&events(&place, &["repair", "kit"])).is_empty());
}
