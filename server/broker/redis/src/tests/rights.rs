//! What a user of Redis must be able to run: what the code uses, what is checked at the start, and what README
//! lists are the same.

use std::{collections::BTreeSet, fs, path::Path};

use super::{super::testing::connect, *};

/// Commands of README that the probe cannot run within a script. Each is refused before the probe or by it:
/// the driver sends the first one with `?protocol=resp3`, and the others are used at each start.
const BESIDE_THE_PROBE: [&str; 4] = ["HELLO", "CONFIG|GET", "EVAL", "EVALSHA"];

fn words_of(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// The words in capital letters that stand behind `before` in `text`.
fn words_behind(text: &str, before: &str) -> BTreeSet<String> {
    let words = text.split(before).skip(1);
    let words = words.map(|rest| rest.chars().take_while(char::is_ascii_uppercase).collect());
    words.filter(|word: &String| !word.is_empty()).collect()
}

/// The commands that the code uses, in scripts and beside them.
fn used() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut used = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("the sources") {
        let path = entry.expect("a file").path();
        let is_source = path.is_file() && !path.ends_with("rights.lua");
        if !is_source || path.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a text");
        for before in ["redis.call('", "redis.pcall('", "cmd(\"", ".command(\""] {
            used.extend(words_behind(&text, before));
        }
    }
    // The only command of two words.
    assert!(used.remove("CONFIG"), "CONFIG GET is asked");
    used.insert("CONFIG|GET".to_owned());
    used
}

/// The commands that the probe runs.
fn probed() -> BTreeSet<String> {
    words_behind(include_str!("../rights.lua"), "{ '")
}

/// The commands that README lists.
fn documented() -> BTreeSet<String> {
    let readme = include_str!("../../../../../README.md");
    let list = readme.split('`').find(|text| text.starts_with("+ping "));
    let list = list.expect("README lists the rights");
    let words = list.split(' ').map(|word| word.trim_start_matches('+'));
    words.map(str::to_uppercase).collect()
}

#[test]
fn what_the_code_uses_is_probed_at_the_start_and_listed_in_the_readme() {
    let beside = words_of(&BESIDE_THE_PROBE);
    let all: BTreeSet<_> = probed().union(&beside).cloned().collect();
    let but_hello = |mut set: BTreeSet<String>| {
        set.remove("HELLO");
        set
    };
    assert_eq!(but_hello(all.clone()), used());
    assert_eq!(all, documented());
}

#[tokio::test]
async fn each_right_that_is_missing_is_named_at_the_start() {
    let server = Server::start(&[]);
    let url = server.url().replace("redis://", "redis://ann:s3cret@");
    let user = |rules: &[String]| {
        let begin = ["ACL", "SETUSER", "ann", "reset", "on", ">s3cret", "~test:*"];
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        server.ask(&[&begin[..], &rules].concat());
    };
    let all: Vec<String> = documented()
        .iter()
        .map(|name| format!("+{}", name.to_lowercase()))
        .collect();
    user(&all);
    // With its scripts in Redis, the node would run nothing by its text any more.
    connect(&url, "test").await.expect("with all rights");
    let left = "return #redis.call('KEYS', 'test:rights:*')";
    assert_eq!(server.ask(&["EVAL", left, "0"]), "0");
    for missing in documented() {
        let rights: Vec<String> = all
            .iter()
            .filter(|right| **right != format!("+{}", missing.to_lowercase()))
            .cloned()
            .collect();
        user(&rights);
        let said = connect(&url, "test").await.err();
        if ["HELLO", "CONFIG|GET"].contains(&missing.as_str()) {
            assert!(said.is_none(), "{missing} is not needed: {said:?}");
            continue;
        }
        let said = said
            .unwrap_or_else(|| panic!("{missing} is missing"))
            .to_string();
        assert!(said.to_uppercase().contains(&missing), "{missing}: {said}");
        assert!(
            said.contains("README") && !said.contains("s3cret"),
            "{said}"
        );
    }
    user(&["+@all".to_owned(), "-pttl".to_owned(), "-srem".to_owned()]);
    let said = connect(&url, "test")
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(said.contains("may not run PTTL, SREM;"), "{said}");
}
