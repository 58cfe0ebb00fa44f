//! What `--help` prints, word for word: `tests/help/*.txt`. `UPDATE_EXPECT=1` writes them anew.

use crate::run::Place;
use expect_test::expect_file;

#[test]
fn every_help_text_is_as_written() {
    let place = Place::new();
    let commands = [
        "",
        "start",
        "demo",
        "catalog",
        "catalog list",
        "catalog show",
        "plan",
        "bundle",
        "verify",
        "repair",
        "inventory",
        "history",
        "gc",
        "backup",
        "restore",
        "keygen",
        "inspect",
        "models",
        "install",
        "import",
        "selftest",
        "serve",
        "generate",
        "bench",
        "doctor",
    ];
    for command in commands {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let ran = place.run(&args).expect_success();
        let name = if command.is_empty() { "fieldforge".to_owned() } else { command.replace(' ', "-") };
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 110), "`{command}` has a line wider than 110");
        expect_file![format!("{}/tests/help/{name}.txt", env!("CARGO_MANIFEST_DIR"))].assert_eq(&ran.stdout);
    }
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let place = Place::new();
    assert_eq!(place.run(["no-such-command"]).code, Some(2));
    assert_eq!(place.run(["bundle"]).code, Some(2));
    assert_eq!(place.run(["generate", "x", "--size", "large"]).code, Some(2));
    assert_eq!(place.run(["--version"]).code, Some(0));
}

#[test]
fn without_arguments_and_without_a_bundle_it_says_what_it_can_do() {
    let ran = Place::new().run([] as [&str; 0]).expect_success();
    assert!(ran.stdout.lines().count() <= 12, "ten lines, not a manual:\n{}", ran.stdout);
    assert!(ran.stdout.contains("fieldforge demo"));
}
