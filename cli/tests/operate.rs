//! `usage`, `logs` and what is about credentials, as far as nobody is asked.

mod common;

use common::Place;

#[test]
fn help_names_what_requests_are_told_apart_by() {
    let place = Place::new();
    let help = place.run(&["logs", "--help"]).succeeds().stdout;
    for option in [
        "--status",
        "--errors",
        "--method",
        "--search",
        "--path",
        "--header",
        "--ip",
        "--sampling",
        "--version-id",
    ] {
        assert!(help.contains(option), "{help}");
    }
}

#[test]
fn values_that_are_none_are_wrong_usage() {
    let place = Place::new();
    for (args, says) in [
        (&["usage", "--since", "91d"][..], "at most 90d"),
        (&["usage", "--since", "yesterday"], "15m or 1h"),
        (&["usage", "--top", "1001"], "1001"),
        (&["logs", "--status", "4x"], "404 or 5xx"),
        (&["logs", "--sampling", "10"], "0.25 for a quarter"),
        (&["logs", "--header", ":x"], "user-agent:curl"),
    ] {
        place.run(args).fails(2, &[says]);
    }
}

#[test]
fn a_login_that_is_not_there_is_removed_all_the_same() {
    let place = Place::new();
    let mut logout = place.command(&["logout", "--json"]);
    logout.env("XDG_CONFIG_HOME", place.path("config"));
    let run = common::Run::of(logout).succeeds();
    assert_eq!(run.json()["removed"], false);
}
