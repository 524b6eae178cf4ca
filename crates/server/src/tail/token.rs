//! A credential from a program: whatever it takes to get one is its business.

use std::process::Stdio;

use standpipe_client::RenewError;
use standpipe_protocol::command::Secret;
use tokio::process::Command;

/// What `command` prints, without the line break behind it. What it says on standard error is for who reads the terminal.
///
/// # Errors
/// If it cannot be run, or fails. Neither the command nor what it printed is repeated: both may be secret.
pub(super) async fn of_command(command: String) -> Result<Secret, RenewError> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = shell.output().await.map_err(|error| format!("the command cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("the command failed, {}", output.status).into());
    }
    let printed = String::from_utf8(output.stdout).map_err(|_| "the command printed no text")?;
    Ok(Secret(printed.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(command: &str) -> Result<String, String> {
        of_command(command.to_owned()).await.map(|token| token.0).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_a_command_prints_is_the_token_and_what_it_fails_with_shows_nothing() {
        assert_eq!(of("echo hunter2").await, Ok("hunter2".to_owned()));
        assert_eq!(of("echo hunter2; exit 3").await, Err("the command failed, exit status: 3".to_owned()));
        assert_eq!(of("printf '\\377'").await, Err("the command printed no text".to_owned()));
    }
}
