//! Patterns and lines, table by table. What a running source does is tested against an intake.

use std::io::Write as _;

use proptest::prelude::*;

use super::cursor::{Cursor, Head, Identity, Mark, Memory, Progress};
use super::folder::Pattern;
use super::lines::{self, Limits, Line, Taken};

const LIMITS: Limits = Limits {
    lines: 3,
    bytes: 1 << 20,
    line_bytes: 8,
};

fn file(text: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    file
}

fn whole(offset: u64, text: &str) -> Line {
    let bytes = text.into();
    Line::Whole { offset, bytes }
}

fn taken(lines: Vec<Line>, offset: u64, more: bool) -> Taken {
    Taken {
        lines,
        offset,
        more,
    }
}

#[test]
fn wildcards_stand_for_any_part_of_a_name_but_not_for_hidden_ones() {
    let table = [
        ("/x/*.json", "a.json", true),
        ("/x/*.json", ".a.json", false),
        ("/x/*.json", "a.json.tmp", false),
        ("/x/a?c*e", "abcdde", true),
        ("/x/a?c*e", "ace", false),
        ("/x/*a*a*a", "aaaaab", false),
        ("/x/app.log", "app.log", true),
        ("/x/app.log", "app.log.1", false),
        ("/x/.*", ".a", true),
        ("/x/", "anything", true),
        ("/x/", ".hidden", false),
    ];
    for (pattern, name, expected) in table {
        let wants = Pattern::read(pattern).unwrap().wants(name);
        assert_eq!(wants, expected, "{pattern} {name}");
    }
    assert!(Pattern::read("/x/*/y").unwrap_err().contains("last part"));
    assert!(Pattern::read("").is_err());
}

#[test]
fn what_takes_a_files_place_is_neither_followed_nor_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = (folder.path().join("a"), folder.path().join("secret"));
    std::fs::write(&path, "x").unwrap();
    std::fs::write(&secret, "y").unwrap();
    let pattern = Pattern::read(path.to_str().unwrap()).unwrap();
    let found = pattern.list().unwrap().remove(0);
    assert!(pattern.open(&found).is_ok());
    // The file is kept under another name, so that its number is not given again.
    std::fs::rename(&path, folder.path().join("b")).unwrap();
    let replaced = |how: &dyn Fn()| {
        how();
        let opened = pattern.open(&found).map_err(|error| error.kind());
        std::fs::remove_file(&path).unwrap();
        opened.err()
    };
    let gone = Some(std::io::ErrorKind::NotFound);
    let link = || std::os::unix::fs::symlink(&secret, &path).unwrap();
    assert_eq!(replaced(&link), gone);
    let own = folder.path().join("b");
    let link = || std::os::unix::fs::symlink(&own, &path).unwrap();
    assert_eq!(replaced(&link), gone);
    let pipe = || nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(replaced(&pipe), gone);
    let other = || std::fs::write(&path, "z").unwrap();
    assert_eq!(replaced(&other), gone);
}

#[test]
fn whole_lines_are_taken_and_the_rest_is_left() {
    let text = file(b"one\r\n\n  \ntwo\nthr");
    assert_eq!(
        lines::take(&text, 0, LIMITS, false).unwrap(),
        taken(vec![whole(0, "one"), whole(9, "two")], 13, false)
    );
    assert_eq!(
        lines::take(&text, 13, LIMITS, false).unwrap(),
        taken(vec![], 13, false)
    );
    assert_eq!(
        lines::take(&text, 13, LIMITS, true).unwrap(),
        taken(vec![whole(13, "thr")], 16, false)
    );
}

#[test]
fn a_line_over_the_limit_is_passed_over_and_the_next_is_read() {
    let text = file(b"12345678\n123456789\nnext\n");
    let long = Line::TooLong {
        offset: 9,
        bytes: 9,
    };
    let lines = vec![whole(0, "12345678"), long, whole(19, "next")];
    assert_eq!(
        lines::take(&text, 0, LIMITS, false).unwrap(),
        taken(lines, 24, true)
    );
}

#[test]
fn other_contents_under_the_same_name_are_noticed() {
    let text = file(b"one\ntwo\n");
    let head = lines::head(&text, 8).unwrap();
    assert!(lines::continues(&text, 8, &head).unwrap());
    assert!(!lines::continues(&file(b"one\n"), 8, &head).unwrap());
    assert!(!lines::continues(&file(b"six\ntwo\nthree\n"), 8, &head).unwrap());
    assert!(lines::continues(&file(b"one\ntwo\nthree\n"), 8, &head).unwrap());
}

#[test]
fn a_cursor_that_cannot_be_read_is_no_first_start() {
    assert_eq!(Memory::read(None), Memory::None);
    for text in [
        "",
        "{",
        r#"{"files":[{"device":1,"inode":2,"id":"a"}]}"#,
        r#"{"files":[{"device":1,"inode":2,"id":"a","offset":1,"bytes":1,"modified":1}]}"#,
    ] {
        assert!(
            matches!(Memory::read(Some(text)), Memory::Lost(_)),
            "{text}"
        );
    }
    // As versions before this one wrote it.
    let text = r#"{"files":[
        {"device":1,"inode":2,"id":"a","bytes":14,"modified":1790000000123456789},
        {"device":1,"inode":3,"id":"b","offset":7,"head":{"bytes":7,"digest":"00"}}]}"#;
    let Memory::Cursor(cursor) = Memory::read(Some(text)) else {
        panic!("{:?}", Memory::read(Some(text)));
    };
    let whole = Progress::Whole {
        bytes: 14,
        modified: 1_790_000_000_123_456_789,
        passed_over: false,
    };
    assert_eq!(cursor.files[0].progress, whole);
}

/// Any time of change that a file system can tell, in nanoseconds.
fn modified() -> impl Strategy<Value = i128> {
    (any::<i64>(), 0..1_000_000_000_i128)
        .prop_map(|(seconds, more)| i128::from(seconds) * 1_000_000_000 + more)
}

fn progress() -> impl Strategy<Value = Progress> {
    let lines =
        (any::<u64>(), any::<u64>(), "[0-9a-f]{0,16}").prop_map(|(offset, bytes, digest)| {
            Progress::Lines {
                offset,
                head: Head { bytes, digest },
            }
        });
    let whole =
        (any::<u64>(), modified(), any::<bool>()).prop_map(|(bytes, modified, passed_over)| {
            Progress::Whole {
                bytes,
                modified,
                passed_over,
            }
        });
    prop_oneof![lines, whole]
}

fn mark() -> impl Strategy<Value = Mark> {
    (any::<u64>(), any::<u64>(), any::<String>(), progress()).prop_map(
        |(device, inode, id, progress)| Mark {
            identity: Identity { device, inode },
            id,
            progress,
        },
    )
}

proptest! {
    #[test]
    fn whatever_a_cursor_holds_is_read_back(files in proptest::collection::vec(mark(), 0..4)) {
        let cursor = Cursor { files };
        prop_assert_eq!(Memory::read(Some(&cursor.write())), Memory::Cursor(cursor));
    }

    #[test]
    fn however_it_is_taken_no_line_is_lost_or_read_twice(
        all in proptest::collection::vec("[a-z]{1,8}", 0..20),
        lines in 1usize..5,
    ) {
        let text = all.iter().fold(String::new(), |text, line| text + line + "\n");
        let file = file(text.as_bytes());
        let limits = Limits { lines, ..LIMITS };
        let (mut read, mut offset) = (Vec::new(), 0);
        loop {
            let taken = lines::take(&file, offset, limits, false).unwrap();
            read.extend(taken.lines.into_iter().map(|line| match line {
                Line::Whole { bytes, .. } => String::from_utf8(bytes).unwrap(),
                Line::TooLong { .. } => "too long".to_owned(),
            }));
            offset = taken.offset;
            if !taken.more {
                break;
            }
        }
        prop_assert_eq!(read, all);
        prop_assert_eq!(offset, text.len() as u64);
    }
}
