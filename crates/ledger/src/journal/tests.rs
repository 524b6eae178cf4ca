use std::fs;

use tempfile::TempDir;

use super::*;
use crate::Key;

fn event() -> EventName {
    EventName::new("op").unwrap()
}

fn confirmed(total: u64) -> Entry {
    Entry::Confirmed { event: event(), total }
}

fn place() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("charges.jsonl");
    (directory, path)
}

fn open(path: &Path) -> (Journal, Found) {
    Journal::open(path, "run1").unwrap()
}

#[test]
fn what_was_appended_is_there_for_the_next_process_of_the_run() {
    let (_directory, path) = place();
    let (mut journal, found) = open(&path);
    assert_eq!(found, Found::default());
    journal.append(&[confirmed(5)]).unwrap();
    journal.append(&[confirmed(8)]).unwrap();
    drop(journal);
    let (journal, found) = open(&path);
    assert_eq!((journal.state().owed(&event()), found), (8, Found::default()));
}

#[test]
fn wherever_the_writing_ended_all_whole_lines_count() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    journal.append(&(1..=5).map(confirmed).collect::<Vec<_>>()).unwrap();
    drop(journal);
    let whole = fs::read(&path).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in first..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let lines = String::from_utf8_lossy(&whole[first..cut]).matches('\n').count() as u64;
        let (mut journal, found) = open(&path);
        assert_eq!(journal.state().owed(&event()), lines, "cut at {cut}");
        assert_eq!(found.torn > 0, whole[cut - 1] != b'\n');
        journal.append(&[confirmed(9)]).unwrap();
        drop(journal);
        assert_eq!(open(&path).0.state().owed(&event()), 9);
    }
}

#[test]
fn a_damaged_journal_is_refused_and_not_guessed_at() {
    for (text, line) in [
        (
            "{\"is\":\"begin\",\"form\":1,\"run\":\"run1\"}\nnonsense\n{\"is\":\"confirmed\",\"event\":\"op\",\"total\":1}\n",
            2,
        ),
        ("{\"is\":\"confirmed\",\"event\":\"op\",\"total\":1}\n", 1),
        ("{\"is\":\"begin\",\"form\":99,\"run\":\"run1\"}\n", 1),
        ("somebody else's file\n", 1),
    ] {
        let (_directory, path) = place();
        fs::write(&path, text).unwrap();
        let error = Journal::open(&path, "run1").unwrap_err();
        assert!(matches!(error, JournalError::Damaged { line: at, .. } if at == line), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "it is left as it is");
    }
}

#[test]
fn another_runs_journal_is_put_aside_with_what_it_left() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let opened = Entry::Opened { key: Key("k".into()), event: event(), count: 3, run_pays: true };
    journal.append(&[confirmed(5), opened]).unwrap();
    drop(journal);
    let (journal, found) = Journal::open(&path, "run2").unwrap();
    assert_eq!(journal.state(), &Recovered::default(), "a new run charges nothing of an old one");
    assert_eq!(found.other_run, Some(("run1".to_owned(), vec![(event(), 5)])));
    assert!(fs::read_to_string(beside(&path, ".ended")).unwrap().contains("run1"));
}

#[test]
fn two_processes_never_write_one_journal() {
    let (_directory, path) = place();
    let (journal, _) = open(&path);
    assert!(matches!(Journal::open(&path, "run1"), Err(JournalError::InUse(_))));
    drop(journal);
    open(&path);
}

#[test]
fn the_file_is_bounded_whatever_is_written() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    let mut largest = 0;
    for total in 0..60 {
        let many: Vec<_> = (0..1000).map(|n| confirmed(total * 1000 + n)).collect();
        journal.append(&many).unwrap();
        largest = largest.max(fs::metadata(&path).unwrap().len());
    }
    assert!(largest < GROWTH + 100_000, "{largest}");
    assert_eq!(journal.state().owed(&event()), 59_999);
    drop(journal);
    assert_eq!(open(&path).0.state().owed(&event()), 59_999);
}

#[test]
fn a_full_disk_is_told_and_what_was_not_written_can_be_tried_again() {
    let (_directory, path) = place();
    let (mut journal, _) = open(&path);
    journal.append(&[confirmed(1)]).unwrap();
    let good = journal.fill_disk();
    assert!(journal.append(&[confirmed(2)]).is_err());
    assert_eq!(journal.state().owed(&event()), 1);
    journal.free_disk(good);
    journal.append(&[confirmed(2)]).unwrap();
    drop(journal);
    assert_eq!(open(&path).0.state().owed(&event()), 2);
}
