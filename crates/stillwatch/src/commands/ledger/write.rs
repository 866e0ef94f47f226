//! `ledger init|append|head|cosign`: what the owner writes and a witness signs.

use super::{read_json, write_json};
use crate::{
    cli::ledger::{AppendArgs, CosignArgs, HeadArgs, InitArgs},
    outcome::{Exit, Failure},
    printer::Printer,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::path::Path;
use stillwatch_evidence::{
    beacon::Chain,
    ledger::{
        ConsistencyProof, Cosignature, FutureRound, Ledger, LogKey, LogView, OsEntropy, SignedHead,
        append_drafts, read_drafts, read_key, write_key,
    },
};

/// `ledger init`.
pub(super) fn init(args: &InitArgs, printer: Printer) -> Result<Exit, Failure> {
    let ledger = Ledger::create(&args.dir, Timestamp::now())?;
    if printer.is_json() {
        printer.json(ledger.identity());
    } else {
        let identity = ledger.identity();
        printer.out(&format!(
            "created {}\nlog         {}\npublic key  {}\nKeep {} secret; give the public key to \
             whoever is to check.",
            args.dir.display(),
            identity.log_id,
            identity.public_key,
            args.dir.join("key").display()
        ));
    }
    Ok(Exit::Clean)
}

/// `ledger append`.
pub(super) fn append(args: &AppendArgs, printer: Printer) -> Result<Exit, Failure> {
    let mut ledger = Ledger::open(&args.dir)?;
    let (value, text) = if let (Some(texts), Some(openings)) = (&args.texts, &args.openings) {
        let drafts = read_drafts(texts).map_err(|e| Failure::report(&e))?;
        let beacon = future_round(args)?;
        let done = append_drafts(&mut ledger, &drafts, beacon, openings)?;
        let mut text = format!(
            "{} exposures begun, {} finished, {} entries in the log",
            done.n_committed,
            done.n_finished,
            ledger.tree_size()
        );
        if let Some(FutureRound { chain, round }) = beacon {
            let due = chain.round_time(round).map_or_else(String::new, |due| due.to_string());
            let when = format!(
                "\nround {round} of {chain:?} throws the coins, due at {due}: publish a head and \
                 have it cosigned before"
            );
            text.push_str(&when);
        }
        let value = json!({
            "n_committed": done.n_committed,
            "n_finished": done.n_finished,
            "beacon": beacon,
            "tree_size": ledger.tree_size(),
        });
        (value, text)
    } else if let Some(weights) = &args.weights {
        let (model, hash) = weights.rsplit_once('=').ok_or_else(|| {
            Failure::input("usage", format!("--weights {weights}: expected MODEL=SHA256"))
        })?;
        let hash = hash
            .parse()
            .map_err(|e| Failure::input("usage", format!("--weights: the hash of {model}: {e}")))?;
        let leaf = ledger.record_weights(model, hash)?;
        (json!({ "leaf_index": leaf }), format!("weights of {model} recorded as leaf {leaf}"))
    } else if let (Some(account), Some(reason)) = (&args.delete_account, &args.reason) {
        let leaf = ledger.record_deletion(account, reason)?;
        let tag = ledger.account_tag(account);
        let text = format!("deletion of the account with pseudonym {tag} recorded as leaf {leaf}");
        (json!({ "leaf_index": leaf, "account_tag": tag }), text)
    } else {
        return Err(Failure::input("usage", "nothing to append"));
    };
    show(printer, &value, &text);
    Ok(Exit::Clean)
}

/// The round that will throw the coins, if a beacon is to.
fn future_round(args: &AppendArgs) -> Result<Option<FutureRound>, Failure> {
    let Some(beacon) = args.beacon else { return Ok(None) };
    let chain = Chain::from(beacon);
    let now = Timestamp::now();
    let delay = SignedDuration::from_secs(i64::from(args.delay_s));
    let later = now.checked_add(delay).map_err(|e| Failure::input("usage", e))?;
    let round = args.round.unwrap_or_else(|| chain.round_after(later));
    match chain.round_time(round) {
        Some(due) if due > now => Ok(Some(FutureRound { chain, round })),
        _ => Err(Failure::input("usage", format!("--round {round} is known already"))
            .hint("name a round that is due later, or leave --round out")),
    }
}

/// `ledger head`.
pub(super) fn head(args: &HeadArgs, printer: Printer) -> Result<Exit, Failure> {
    let head = if args.last {
        let view = LogView::open(&args.dir)?;
        view.heads().last().cloned().ok_or_else(|| {
            Failure::input("no_head", "this ledger has no head yet")
                .hint("leave --last out to sign one")
        })?
    } else {
        let mut ledger = Ledger::open(&args.dir)?;
        ledger.close_epoch(Timestamp::now())?
    };
    deliver(&head, args.out.as_deref(), printer)?;
    Ok(Exit::Clean)
}

/// `ledger cosign`.
pub(super) fn cosign(args: &CosignArgs, printer: Printer) -> Result<Exit, Failure> {
    let mut head: SignedHead = read_json(&args.head)?;
    if let Some(dir) = &args.into {
        let mut ledger = Ledger::open(dir)?;
        let n_new = ledger.add_cosignatures(&head)?;
        show(printer, &json!({ "n_new": n_new }), &format!("{n_new} new cosignatures kept"));
        return Ok(Exit::Clean);
    }
    if let (Some(previous), Some(proof)) = (&args.previous, &args.consistency) {
        let previous: SignedHead = read_json(previous)?;
        let proof: ConsistencyProof = read_json(proof)?;
        proof.verify(&previous, &head)?;
    }
    let path = args.key.as_deref().ok_or_else(|| Failure::input("usage", "--key is missing"))?;
    let key = witness_key(path, args.new_key)?;
    head.cosign(&key, Timestamp::now())?;
    deliver(&head, args.out.as_deref(), printer)?;
    Ok(Exit::Clean)
}

fn witness_key(path: &Path, new: bool) -> Result<LogKey, Failure> {
    if !new {
        return read_key(path).map_err(Failure::from);
    }
    let key = LogKey::generate(&mut OsEntropy)?;
    write_key(path, &key)?;
    Ok(key)
}

/// A head to file and terminal.
fn deliver(head: &SignedHead, out: Option<&Path>, printer: Printer) -> Result<(), Failure> {
    if let Some(out) = out {
        write_json(out, head)?;
    }
    if printer.is_json() {
        printer.json(head);
        return Ok(());
    }
    let inner = &head.head;
    let mut text = format!(
        "epoch {} of log {}\n{} exposures begun in it, {} entries in all, at {}\nroot       {}\n\
         publish    {}",
        inner.epoch,
        inner.log_id,
        inner.epoch_count,
        inner.tree_size,
        inner.time,
        inner.root,
        head.head_hash()?
    );
    for Cosignature { public_key, time, .. } in &head.cosignatures {
        text.extend(["\nwitness    ", public_key, " at ", &time.to_string()]);
    }
    printer.out(&text);
    Ok(())
}

fn show(printer: Printer, value: &serde_json::Value, text: &str) {
    if printer.is_json() {
        printer.json(value);
    } else {
        printer.out(text);
    }
}
