//! `standpipe tail`: events on standard output, what happens to the connection on standard error.
//!
//! This module decides how events look and when to end. Connecting, resuming and removing repeats are the client's.

mod args;
mod line;
mod notes;
mod style;
mod time;
mod token;

use std::{
    io::{self, ErrorKind, Write},
    pin::pin,
    process::ExitCode,
};

use anyhow::{Context, anyhow};
pub use args::Tail;
use futures_util::FutureExt;
use standpipe_client::{Client, Dial, Error, Event, Update, address::redacted};

use self::{
    line::Lines,
    style::{Paint, Style},
};
use crate::terminal::{columns, text::compact};

/// How much is gathered before it is written, in bytes. Less is written as soon as nothing more is there.
const BUFFER: usize = 64 << 10;

/// Prints events until Ctrl-C, until `--count` is reached, or until whoever reads them has enough.
///
/// # Errors
/// If the server cannot be reached or does not want this client, or standard output fails.
pub async fn run(args: Tail) -> anyhow::Result<ExitCode> {
    let request = args.request();
    let address = redacted(&request.url(None, None));
    let client = Client::new(request, args.config()).map_err(|error| anyhow!("cannot follow {address}: {error}"))?;
    let client = match args.token_command.clone() {
        Some(command) => client.renewing(move || token::of_command(command.0.clone())),
        None => client,
    };
    let printer = Printer {
        out: &mut io::BufWriter::with_capacity(BUFFER, io::stdout().lock()),
        notes: &mut io::stderr(),
        note_style: Style::of(&io::stderr()),
        form: if args.json { Form::Json } else { Form::Lines(Lines::new(Style::of(&io::stdout()))) },
        columns,
        left: args.count.map(std::num::NonZero::get),
        address,
    };
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler of ours, the system ends the process.
            std::future::pending::<()>().await;
        }
    };
    follow(client, printer, stop).await
}

/// Where and how to print.
struct Printer<'a> {
    out: &'a mut dyn Write,
    notes: &'a mut dyn Write,
    note_style: Style,
    form: Form,
    /// The width of the terminal, if there is one: asked anew for each line, because windows change.
    columns: fn() -> Option<usize>,
    /// How many events are still to be printed, if that is limited.
    left: Option<u64>,
    address: String,
}

enum Form {
    /// For people.
    Lines(Lines),
    /// For programs.
    Json,
}

async fn follow<D: Dial>(
    mut client: Client<D>,
    mut printer: Printer<'_>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<ExitCode> {
    let mut stop = pin!(stop);
    let printed = loop {
        let update = tokio::select! {
            // Being asked to stop comes first: a flood of events must not keep it waiting.
            biased;
            () = &mut stop => break printer.out.flush(),
            next = printer.next(&mut client) => next,
        };
        let written = match update {
            Ok(None) => break Ok(()),
            Ok(Some(Ok(update))) => printer.print(&update),
            Ok(Some(Err(error))) => return Err(printer.explain(&error)),
            Err(error) => Err(error),
        };
        if written.is_err() || printer.left == Some(0) {
            break written.and_then(|()| printer.out.flush());
        }
    };
    match printed {
        Ok(()) => printer.farewell(&client),
        // A reader that has enough, such as `head`, is no error.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => return Err(error).context("cannot write to standard output"),
    }
    client.close().await;
    Ok(ExitCode::SUCCESS)
}

impl Printer<'_> {
    /// The next update. What is printed already is written before waiting for it, and not before.
    async fn next<D: Dial>(&mut self, client: &mut Client<D>) -> io::Result<Option<Result<Update, Error>>> {
        if let Some(next) = client.next().now_or_never() {
            return Ok(next);
        }
        self.out.flush()?;
        Ok(client.next().await)
    }

    fn print(&mut self, update: &Update) -> io::Result<()> {
        match update {
            Update::Event(event) => {
                self.left = self.left.map(|left| left.saturating_sub(1));
                self.print_event(event)
            }
            Update::Snapshot(event) => self.print_event(event),
            other => {
                let Some(note) = notes::about(other, &self.address) else { return Ok(()) };
                // On a terminal, both streams are one: a note stands behind the events before it.
                self.out.flush()?;
                self.note(&note);
                Ok(())
            }
        }
    }

    fn print_event(&mut self, event: &Event) -> io::Result<()> {
        match &mut self.form {
            Form::Lines(lines) => self.out.write_all(lines.of(event, (self.columns)()).as_bytes()),
            // One message, one line. A line break can only stand between tokens.
            Form::Json if event.text().contains(['\n', '\r']) => writeln!(self.out, "{}", compact(event.text())),
            Form::Json => writeln!(self.out, "{}", event.text()),
        }
    }

    fn farewell<D: Dial>(&mut self, client: &Client<D>) {
        if let Some(farewell) = notes::farewell(client.cursor()) {
            self.note(&farewell);
        }
    }

    fn note(&mut self, note: &str) {
        let note = self.note_style.paint(&format!("standpipe: {note}"), Paint::Dim);
        // There is nowhere left to say that this could not be said.
        let _ = writeln!(self.notes, "{note}");
    }

    fn explain(&self, error: &Error) -> anyhow::Error {
        anyhow!("cannot follow {}: {}", self.address, notes::reason(error))
    }
}

#[cfg(test)]
mod tests;
