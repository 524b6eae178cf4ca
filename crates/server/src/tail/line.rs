//! One event as one line: time, topic, key, data.

use standpipe_client::Event;

use super::{
    style::{Paint, Style},
    time::{Day, utc},
};
use crate::terminal::text::{clip, compact, harmless, pad, width};

/// The widest that the columns of topic and key grow on a wide terminal.
const MAX_TOPIC: usize = 32;
const MAX_KEY: usize = 20;

/// The part of a narrow one that each of them takes at most, so that something of the data is always seen.
const TOPIC_PART: usize = 3;
const KEY_PART: usize = 6;

/// Between columns.
const GAP: &str = "  ";

/// Makes lines. Columns are as wide as the widest that they had to hold so far, so that lines are aligned from the
/// first few on.
#[derive(Debug)]
pub(super) struct Lines {
    style: Style,
    topic: usize,
    key: usize,
    day: Option<Day>,
}

impl Lines {
    pub(super) fn new(style: Style) -> Self {
        Self { style, topic: 0, key: 0, day: None }
    }

    /// The line of `event`, in front of it one with the day if that is a new one. `columns` is the width of the
    /// terminal; without one, nothing is cut and each line has its day.
    pub(super) fn of(&mut self, event: &Event, columns: Option<usize>) -> String {
        let mut line = self.new_day(event, columns);
        let time = event.ts.map(utc);
        let time = match (time, columns) {
            (Some((_, clock)), Some(_)) => clock.to_string(),
            (Some((day, clock)), None) => format!("{day}T{clock}Z"),
            (None, _) => "-".to_owned(),
        };
        let time = pad(&time, if columns.is_some() { "00:00:00.000".len() } else { "0000-00-00T00:00:00.000Z".len() });
        let (most_topic, most_key) = match columns {
            Some(columns) => (MAX_TOPIC.min(columns / TOPIC_PART), MAX_KEY.min(columns / KEY_PART)),
            None => (usize::MAX, usize::MAX),
        };
        let topic = clip(&harmless(&event.topic), most_topic);
        let key = clip(&harmless(event.key.as_deref().unwrap_or_default()), most_key);
        self.topic = self.topic.max(width(&topic)).min(most_topic);
        self.key = self.key.max(width(&key)).min(most_key);

        let mut left = columns.unwrap_or(usize::MAX);
        let columns = [(time, Paint::Dim), (pad(&topic, self.topic), Paint::Topic), (pad(&key, self.key), Paint::Key)];
        for (text, paint) in columns {
            if !text.is_empty() {
                let text = clip(&text, left);
                left = left.saturating_sub(width(&text) + GAP.len());
                line += &self.style.paint(&text, paint);
                line += GAP;
            }
        }
        line += &clip(&harmless(&compact(event.data())), left);
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    fn new_day(&mut self, event: &Event, columns: Option<usize>) -> String {
        match event.ts.map(utc) {
            Some((day, _)) if columns.is_some() && self.day != Some(day) => {
                self.day = Some(day);
                self.style.paint(&format!("{day} UTC"), Paint::Dim) + "\n"
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use standpipe_client::{Incoming, message};

    use super::*;

    fn event(text: &str) -> Event {
        match message::decode(&text.into()).unwrap() {
            Incoming::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }

    fn events() -> Vec<Event> {
        [
            r#"{"op":"event","seq":1,"topic":"trades.XBT/USD","key":"XBT","ts":1614556799999,"data":{ "p" : 0.1000 }}"#,
            r#"{"op":"event","seq":2,"topic":"a","key":"","ts":1614556800000,"data":[1,2,3,4,5,6,7,8,9,10,11,12,13,14]}"#,
            r#"{"op":"event","seq":3,"topic":"trades.XBT/USD","data":"\u001b[2J\u009b 漢字漢字漢字漢字漢字漢字漢字"}"#,
            r#"{"op":"event","seq":4,"topic":"a.very.long.topic.that.would.push.the.data.away","key":"\u001b[2J","data":null}"#,
            r#"{"op":"event","seq":5,"topic":"a","ts":1614556801000,"data":{}}"#,
        ]
        .into_iter()
        .map(event)
        .collect()
    }

    fn check(style: Style, columns: Option<usize>, expect: &Expect) {
        let mut lines = Lines::new(style);
        let shown: String = events().iter().map(|event| lines.of(event, columns)).collect();
        expect.assert_eq(&shown.replace('\u{1b}', "ESC"));
        if let (Some(columns), Style::Plain) = (columns, style) {
            assert!(shown.lines().all(|line| width(line) <= columns));
        }
    }

    #[test]
    fn lines_are_aligned_and_as_wide_as_the_terminal() {
        check(
            Style::Plain,
            Some(60),
            &expect![[r#"
                2021-02-28 UTC
                23:59:59.999  trades.XBT/USD  XBT  {"p":0.1000}
                2021-03-01 UTC
                00:00:00.000  a                    [1,2,3,4,5,6,7,8,9,10,11…
                -             trades.XBT/USD       "\u001b[2J\u009b 漢字漢…
                -             a.very.long.topic.t…  \u001b[2J  null
                00:00:01.000  a                                {}
            "#]],
        );
    }

    #[test]
    fn without_a_terminal_nothing_is_cut_and_each_line_has_its_day() {
        check(
            Style::Plain,
            None,
            &expect![[r#"
            2021-02-28T23:59:59.999Z  trades.XBT/USD  XBT  {"p":0.1000}
            2021-03-01T00:00:00.000Z  a                    [1,2,3,4,5,6,7,8,9,10,11,12,13,14]
            -                         trades.XBT/USD       "\u001b[2J\u009b 漢字漢字漢字漢字漢字漢字漢字"
            -                         a.very.long.topic.that.would.push.the.data.away  \u001b[2J  null
            2021-03-01T00:00:01.000Z  a                                                           {}
        "#]],
        );
    }

    #[test]
    fn colours_do_not_count_as_width() {
        check(
            Style::Colour,
            Some(40),
            &expect![[r#"
                ESC[2m2021-02-28 UTCESC[0m
                ESC[2m23:59:59.999ESC[0m  ESC[36mtrades.XBT/U…ESC[0m  ESC[33mXBTESC[0m  {"p":…
                ESC[2m2021-03-01 UTCESC[0m
                ESC[2m00:00:00.000ESC[0m  ESC[36ma            ESC[0m  ESC[33m   ESC[0m  [1,2,…
                ESC[2m-           ESC[0m  ESC[36mtrades.XBT/U…ESC[0m  ESC[33m   ESC[0m  "\u00…
                ESC[2m-           ESC[0m  ESC[36ma.very.long.…ESC[0m  ESC[33m\u001…ESC[0m  nu…
                ESC[2m00:00:01.000ESC[0m  ESC[36ma            ESC[0m  ESC[33m      ESC[0m  {}
            "#]],
        );
    }

    #[test]
    fn a_terminal_too_narrow_for_anything_shows_what_fits() {
        check(
            Style::Plain,
            Some(14),
            &expect![[r"
            2021-02-28 UTC
            23:59:59.999
            2021-03-01 UTC
            00:00:00.000
            -
            -
            00:00:01.000
        "]],
        );
    }
}
