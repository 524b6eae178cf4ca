//! The cursor rule against a naive server: whatever is cut and wherever, the application gets every event once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use standpipe_protocol::Json;

use super::*;

/// What may happen, in any order.
#[derive(Debug, Clone)]
enum Op {
    /// An event of one of the topics comes into the log.
    Publish(u8),
    /// The client reads this many of the messages that are on their way.
    Read(u8),
    /// The server reads the client's commands.
    Serve,
    Heartbeat,
    /// The connection is lost with all that was on its way, in both directions, and there is a new one.
    Cut,
    /// The application subscribes to a topic (or to all of them), from the beginning or from now on.
    Subscribe {
        topic: u8,
        terms: bool,
        earliest: bool,
    },
}

#[derive(Debug, Clone)]
enum Message {
    Subscribed { id: Option<String>, seq: u64 },
    Event(u64),
    Replay,
    Replayed { id: String },
    Heartbeat(u64),
}

const EPOCH: Epoch = Epoch(1);
/// The topic that stands for all topics.
const ALL: u8 = 3;

/// A log, and the one connection that there is.
#[derive(Default)]
struct Server {
    log: Vec<u8>,
    selected: BTreeSet<u8>,
    live: bool,
    inbox: VecDeque<Subscribe>,
    outbox: VecDeque<Message>,
}

impl Server {
    fn head(&self) -> u64 {
        self.log.len() as u64
    }

    fn connect(&mut self, commands: Vec<Subscribe>) {
        *self = Self { log: std::mem::take(&mut self.log), inbox: commands.into(), ..Self::default() };
    }

    fn select_by_url(&mut self, topic: u8, after: Option<&After>) {
        self.outbox.push_back(Message::Subscribed { id: None, seq: self.head() });
        self.selected.insert(topic);
        self.live = true;
        self.push_log(&[topic], after);
    }

    fn publish(&mut self, topic: u8) {
        self.log.push(topic);
        if self.selected.iter().any(|pattern| matches(*pattern, topic)) {
            self.outbox.push_back(Message::Event(self.head()));
        }
    }

    fn serve(&mut self) {
        while let Some(command) = self.inbox.pop_front() {
            let topics = topics(&command);
            let Subscribe { id, after, .. } = command;
            self.outbox.push_back(Message::Subscribed { id: id.clone(), seq: self.head() });
            let bracket = self.live && after.is_some();
            if bracket {
                self.outbox.push_back(Message::Replay);
            }
            self.push_log(&topics, after.as_ref());
            if bracket {
                self.outbox.push_back(Message::Replayed { id: id.unwrap() });
            }
            self.selected.extend(topics);
            self.live = true;
        }
    }

    fn push_log(&mut self, patterns: &[u8], after: Option<&After>) {
        let after = match after {
            None => return,
            Some(After::Earliest) => 0,
            Some(After::Cursor(cursor)) => cursor.seq,
        };
        for (seq, topic) in (1..).zip(&self.log) {
            if seq > after && patterns.iter().any(|pattern| matches(*pattern, *topic)) {
                self.outbox.push_back(Message::Event(seq));
            }
        }
    }
}

fn topics(command: &Subscribe) -> Vec<u8> {
    command.topics.iter().map(|topic| topic.parse().unwrap()).collect()
}

fn matches(pattern: u8, topic: u8) -> bool {
    pattern == ALL || pattern == topic
}

/// A client with its application: what it got, and since when it was promised what.
struct Client {
    resume: Resume,
    got: Vec<u64>,
    /// The commands that select at the head and are not answered: from their answer on, everything must come.
    asked: BTreeMap<String, Vec<u8>>,
    /// From after which place on everything of a topic must come.
    promised: Vec<(u8, u64)>,
}

impl Client {
    fn new(url: UrlSelects, after: Option<After>) -> Self {
        Self {
            resume: Resume::new(url, UrlBegins::WithNext, after),
            got: vec![],
            asked: BTreeMap::new(),
            promised: vec![],
        }
    }

    fn read(&mut self, message: Message) {
        match message {
            Message::Subscribed { id, seq } => {
                self.resume.subscribed(id.as_deref(), seq);
                let topics = id.and_then(|id| self.asked.remove(&id)).unwrap_or_default();
                self.promised.extend(topics.into_iter().map(|topic| (topic, seq)));
            }
            Message::Event(seq) => {
                if self.resume.event(seq, None) == Handing::New {
                    self.got.push(seq);
                }
            }
            Message::Replay => self.resume.replay(),
            Message::Replayed { id } => self.resume.replayed(Some(&id)),
            Message::Heartbeat(seq) => self.resume.told(Cursor { epoch: EPOCH, seq, id: None }),
        }
    }

    /// What is said on a new connection.
    fn welcome(&mut self) -> Vec<Subscribe> {
        let commands = self.resume.welcome(EPOCH);
        let at_head = commands.iter().filter(|command| command.after.is_none());
        self.asked = at_head.map(|command| (command.id.clone().unwrap(), topics(command))).collect();
        commands
    }

    /// Everything promised came, and nothing twice.
    fn check(&self, log: &[u8]) -> Result<(), TestCaseError> {
        let unique: BTreeSet<u64> = self.got.iter().copied().collect();
        prop_assert_eq!(unique.len(), self.got.len(), "repeats in {:?}", &self.got);
        for (pattern, after) in &self.promised {
            for (seq, topic) in (1..).zip(log) {
                let due = seq > *after && matches(*pattern, *topic);
                prop_assert!(!due || unique.contains(&seq), "{} of topic {} after {} is missing", seq, topic, after);
            }
        }
        Ok(())
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..ALL).prop_map(Op::Publish),
        4 => (1_u8..8).prop_map(Op::Read),
        2 => Just(Op::Serve),
        1 => Just(Op::Heartbeat),
        2 => Just(Op::Cut),
        1 => (0..=ALL, any::<bool>(), any::<bool>())
            .prop_map(|(topic, terms, earliest)| Op::Subscribe { topic, terms, earliest }),
    ];
    proptest::collection::vec(op, 0..120)
}

fn run(client: &mut Client, server: &mut Server, url: Option<u8>, ops: Vec<Op>) {
    let connect = |client: &mut Client, server: &mut Server| {
        let after = client.resume.url_after().cloned();
        server.connect(client.welcome());
        if let Some(topic) = url {
            server.select_by_url(topic, after.as_ref());
        }
    };
    connect(client, server);
    for op in ops {
        match op {
            Op::Publish(topic) => server.publish(topic),
            Op::Read(n) => (0..n).filter_map(|_| server.outbox.pop_front()).for_each(|message| client.read(message)),
            Op::Serve => server.serve(),
            Op::Heartbeat => server.outbox.push_back(Message::Heartbeat(server.head())),
            Op::Cut => connect(client, server),
            Op::Subscribe { topic, terms, earliest } => {
                let after = earliest.then_some(After::Earliest);
                let topics = vec![topic.to_string()];
                let filter = terms.then(|| Json::parse("{}").unwrap());
                let params = BTreeMap::new();
                let new = Subscribe { id: None, topics, filter, params, after, snapshot: false, conflate: false };
                let command = client.resume.subscribe(new);
                let id = command.id.clone().unwrap();
                if earliest {
                    client.promised.push((topic, 0));
                } else {
                    client.asked.insert(id, vec![topic]);
                }
                server.inbox.push_back(command);
            }
        }
    }
    server.serve();
    while let Some(message) = server.outbox.pop_front() {
        client.read(message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_selection_by_url_comes_once_and_in_order(topic in 0..=ALL, earliest in any::<bool>(), ops in ops()) {
        let ops = ops.into_iter().filter(|op| !matches!(op, Op::Subscribe { .. })).collect();
        let after = earliest.then_some(After::Earliest);
        let mut client = Client::new(UrlSelects::Events, after);
        let mut server = Server::default();
        if earliest {
            client.promised.push((topic, 0));
        }
        run(&mut client, &mut server, Some(topic), ops);
        client.check(&server.log)?;
        prop_assert!(client.got.is_sorted(), "out of order: {:?}", client.got);
        // From the first event on, none is missing even if nobody said where to begin.
        client.promised.extend(client.got.first().map(|first| (topic, *first)));
        client.check(&server.log)?;
    }

    #[test]
    fn a_selection_by_commands_comes_once(ops in ops()) {
        let mut client = Client::new(UrlSelects::Nothing, None);
        let mut server = Server::default();
        run(&mut client, &mut server, None, ops);
        client.check(&server.log)?;
    }

    #[test]
    fn commands_beside_a_url_come_once(topic in 0..=ALL, mut ops in ops()) {
        // What came before the first command may come again.
        ops.insert(0, Op::Subscribe { topic: 0, terms: true, earliest: false });
        let mut client = Client::new(UrlSelects::Events, Some(After::Earliest));
        let mut server = Server::default();
        client.promised.push((topic, 0));
        run(&mut client, &mut server, Some(topic), ops);
        client.check(&server.log)?;
    }
}
