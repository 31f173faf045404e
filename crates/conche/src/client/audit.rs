//! `conche audit`: the record of what was done by whom, from a server or, with `--config`, from
//! its store, which may be open in a server at the same time.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use conche_store::audit::{Acts, Broken, Chain, Mark, Recorded};
use conche_store::sqlite::ActsReader;
use serde_json::{Value, json};

use super::{Ask, Client};
use crate::config::{self, Loaded};
use crate::failure::Failure;
use crate::output;

/// What to do with the record.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List the newest acts
    List(List),
    /// Check that no row was changed, removed or moved
    Verify(Verify),
    /// Print the whole record, one JSON object a line, oldest first
    Export(Export),
}

/// Lists acts.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  conche audit list --limit 200")]
pub(crate) struct List {
    /// Rows at most [default: 50]
    #[arg(long)]
    limit: Option<u32>,
    /// Only rows before this number
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
    #[command(flatten)]
    ask: Ask,
}

/// Checks the record.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche audit verify
  conche audit verify --config conche.yaml
  conche audit verify --expect 4711:sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

It prints the head. Kept elsewhere and given with --expect the next time, it shows that nothing
up to it was written anew. Exit code 1 where a row is broken.")]
pub(crate) struct Verify {
    /// Read the store of this configuration instead of asking a server
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A row and its hash, as an earlier check printed its head
    #[arg(long, value_name = "SEQ:HASH")]
    expect: Option<Expected>,
    #[command(flatten)]
    ask: Ask,
}

/// Prints the record.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  conche audit export > acts.ndjson
  conche audit export --config conche.yaml | jq -c 'select(.entry.act.what == \"login.refused\")'")]
pub(crate) struct Export {
    /// Read the store of this configuration instead of asking a server
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    ask: Ask,
}

/// A row that must be in the record.
#[derive(Debug, Clone, Copy)]
struct Expected(Mark);

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(seq, hash)| {
            let (seq, hash) = (seq.parse().ok()?, hash.parse().ok()?);
            Some(Self(Mark { seq, hash }))
        });
        parsed.ok_or_else(|| "write it as SEQ:sha256:64 hexadecimal digits".to_owned())
    }
}

/// Does it; whether all is in order.
pub(crate) async fn run(audit: Audit) -> Result<bool, Failure> {
    match audit {
        Audit::List(args) => list(args).await.map(|()| true),
        Audit::Verify(args) => verify(args).await,
        Audit::Export(args) => export(args).await.map(|()| true),
    }
}

async fn list(args: List) -> Result<(), Failure> {
    let client = args.ask.server.client()?;
    let query = [
        ("limit", args.limit.map(|limit| limit.to_string())),
        ("before", args.before.map(|before| before.to_string())),
    ];
    let page = client.get(&["api", "v1", "audit"], &query).await?;
    let columns = [
        ("SEQ", "/seq"),
        ("AT", "/entry/act/at"),
        ("WHO", "/entry/act/who/name"),
        ("FROM", "/entry/act/who/peer"),
        ("WHAT", "/entry/act/what"),
        ("TO", "/entry/act/target"),
        ("OUTCOME", "/entry/act/outcome"),
    ];
    args.ask.output.print(&page, |page| {
        let rows = page["acts"].as_array().map_or(&[][..], Vec::as_slice);
        let more = match page["next"].as_u64() {
            Some(next) => format!("(there is more: --before {next})\n"),
            None => String::new(),
        };
        output::table(rows, &columns) + &more
    })
}

/// What a check has seen so far.
struct Check {
    chain: Chain,
    expect: Option<Mark>,
    broken: Option<Broken>,
}

impl Check {
    fn new(checkpoint: Mark, expect: Option<Expected>) -> Result<Self, Failure> {
        let expect = expect.map(|expected| expected.0);
        if let Some(expect) = expect
            && expect.seq < checkpoint.seq
        {
            return Err(Failure::Failed(format!(
                "row {} was removed by retention: only rows from {} on can be expected",
                expect.seq, checkpoint.seq
            )));
        }
        let mut check = Self {
            chain: Chain::new(checkpoint),
            expect,
            broken: None,
        };
        check.compare(checkpoint);
        Ok(check)
    }

    fn row(&mut self, row: &Recorded) {
        if self.broken.is_none() {
            self.broken = self.chain.check(row).err();
            self.compare(row.mark());
        }
    }

    fn compare(&mut self, mark: Mark) {
        if let Some(expect) = self.expect
            && expect.seq == mark.seq
            && expect.hash != mark.hash
            && self.broken.is_none()
        {
            self.broken = Some(Broken {
                seq: mark.seq,
                why: "its hash is not the expected one: the record was written anew".to_owned(),
            });
        }
    }

    /// The first broken row, and the number of the last row that is in order.
    fn end(self, head: Mark) -> (Option<Broken>, u64) {
        let last = self.chain.last().seq;
        let missing = self.expect.filter(|expect| expect.seq > head.seq);
        let missing = missing.map(|expect| Broken {
            seq: expect.seq,
            why: "it is expected and missing: rows at the end were removed".to_owned(),
        });
        let broken = self.broken.or_else(|| self.chain.end(head).err());
        (broken.or(missing), last)
    }
}

/// Where the record is read.
enum Source {
    Store(ActsReader),
    Server(Client),
}

impl Source {
    fn open(config: Option<&Path>, ask: &Ask) -> Result<Self, Failure> {
        let Some(file) = config else {
            return Ok(Self::Server(ask.server.client()?));
        };
        let loaded = Loaded::load(Some(file), config::environment())?;
        let reader = ActsReader::open(&loaded.config.data_dir);
        Ok(Self::Store(reader.map_err(cannot)?))
    }

    /// The acts after a number, oldest first; none at the end.
    async fn piece(&self, after: u64) -> Result<Acts, Failure> {
        match self {
            Self::Store(reader) => reader.piece(after).map_err(cannot),
            Self::Server(client) => {
                let query = [
                    ("after", Some(after.to_string())),
                    ("limit", Some("500".to_owned())),
                ];
                let page = client.get(&["api", "v1", "audit"], &query).await?;
                acts(&page).ok_or_else(|| {
                    Failure::Failed("the server answers, but not with a record of acts".to_owned())
                })
            }
        }
    }
}

fn cannot(error: conche_store::Error) -> Failure {
    Failure::of("can't read the record", error)
}

/// A page of the API. An entry's members keep the order in which they came, so that its text
/// is what was sealed.
fn acts(page: &Value) -> Option<Acts> {
    let mark = |value: &Value| {
        Some(Mark {
            seq: value["seq"].as_u64()?,
            hash: value["hash"].as_str()?.parse().ok()?,
        })
    };
    let row = |value: &Value| {
        let Mark { seq, hash } = mark(value)?;
        let text = value["entry"].to_string();
        Some(Recorded { seq, text, hash })
    };
    Some(Acts {
        rows: page["acts"]
            .as_array()?
            .iter()
            .map(row)
            .collect::<Option<_>>()?,
        checkpoint: mark(&page["checkpoint"])?,
        head: mark(&page["head"])?,
    })
}

async fn verify(args: Verify) -> Result<bool, Failure> {
    let source = Source::open(args.config.as_deref(), &args.ask)?;
    let mut piece = source.piece(0).await?;
    let mut check = Check::new(piece.checkpoint, args.expect)?;
    while let Some(last) = piece.rows.last().map(|row| row.seq) {
        piece.rows.iter().for_each(|row| check.row(row));
        piece = source.piece(last).await?;
    }
    let head = piece.head;
    let (broken, last) = check.end(head);
    let answer = json!({
        "valid": broken.is_none(),
        "in_order_up_to": last,
        "head": { "seq": head.seq, "hash": head.hash },
        "broken": broken.as_ref().map(|broken| json!({ "seq": broken.seq, "why": broken.why })),
    });
    args.ask.output.print(&answer, |_| match &broken {
        Some(broken) => format!("{broken}\n"),
        None => format!("the record is whole\nhead {}:{}\n", head.seq, head.hash),
    })?;
    Ok(broken.is_none())
}

async fn export(args: Export) -> Result<(), Failure> {
    let source = Source::open(args.config.as_deref(), &args.ask)?;
    let mut piece = source.piece(0).await?;
    while let Some(last) = piece.rows.last().map(|row| row.seq) {
        let lines = piece.rows.iter().map(|row| {
            let Recorded { seq, text, hash } = row;
            // The text goes out as it was sealed, not as a reader of JSON would write it.
            format!(r#"{{"seq":{seq},"hash":"{hash}","entry":{text}}}"#)
        });
        output::line(&lines.collect::<Vec<_>>().join("\n"))?;
        piece = source.piece(last).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use conche_core::Digest;

    fn mark(seq: u64) -> Mark {
        let hash = Digest::of(&seq.to_be_bytes());
        Mark { seq, hash }
    }

    #[test]
    fn what_is_expected_is_read_as_it_is_printed() {
        let Mark { seq, hash } = mark(7);
        let read: Expected = format!("{seq}:{hash}").parse().unwrap();
        assert_eq!(read.0, mark(7));
        for wrong in ["", "7", "7:", "x:sha256:00", "7:00"] {
            assert!(wrong.parse::<Expected>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_row_that_is_expected_must_be_there_and_the_same() {
        let check = |expect, head| {
            let checkpoint = Mark::default();
            let check = Check::new(checkpoint, Some(Expected(expect))).unwrap();
            check.end(head).0.map(|broken| broken.seq)
        };
        let nothing = Mark::default();
        assert_eq!(check(nothing, nothing), None);
        assert_eq!(check(mark(3), nothing), Some(3));
        assert_eq!(check(mark(0), nothing), Some(0));
        assert!(Check::new(mark(5), Some(Expected(mark(4)))).is_err());
    }
}
