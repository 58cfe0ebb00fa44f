//! The program `fieldforge`: arguments in, one command, an exit status out.
//!
//! Thin on purpose: every command is one file in `commands/`, and what it does lives in the libraries. Printing,
//! progress and exit statuses are decided here and nowhere else.

mod atomic;
mod browser;
mod builtin;
mod cli;
mod commands;
mod drawing;
mod failure;
mod file_facts;
mod generator;
mod home;
mod judge;
mod lan;
mod library;
mod loaded;
mod meter;
mod models;
mod new_model;
mod output;
mod papers;
mod picture_facts;
mod picture_request;
mod self_test;
mod served_request;
mod signing;
mod stick;
mod stock;
mod stop;
mod styles;
mod system;
mod system_report;
mod tasks;

use clap::Parser as _;
use cli::{Cli, Command};
use failure::Outcome;
use output::Output;
use std::process::ExitCode;

#[global_allocator]
static MEMORY: engine::Recycling = engine::Recycling::new();

/// The program and its version, as records name it.
const PROGRAM_VERSION: &str = concat!("fieldforge ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    engine::Recycling::large_blocks_go_back();
    // clap prints help, version and wrong usage itself, and ends with 0 or 2.
    let cli = Cli::parse();
    let output = Output::new(cli.global);
    let outcome = failure::guarded(|| run(cli.command, &output));
    stick::clean_up();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

fn run(command: Option<Command>, output: &Output) -> Outcome {
    match command {
        None => commands::start::without_arguments(output),
        Some(Command::Start(args)) => commands::start::run(&args, output),
        Some(Command::Demo(args)) => output.stop().gently(|| commands::demo::run(&args, output)),
        Some(Command::Catalog(command)) => commands::catalog::run(&command, output),
        Some(Command::Plan(args)) => commands::plan::run(&args, output),
        Some(Command::Bundle(args)) => output.stop().gently(|| commands::bundle::run(&args, output)),
        Some(Command::Verify(args)) => output.stop().gently(|| commands::verify::run(&args, output)),
        Some(Command::Inventory(args)) => commands::inventory::inventory(&args, output),
        Some(Command::History(args)) => commands::inventory::history(&args, output),
        Some(Command::Gc(args)) => commands::inventory::collect_garbage(&args, output),
        Some(Command::Backup(args)) => output.stop().gently(|| commands::backup::run(&args, output)),
        Some(Command::Restore(args)) => output.stop().gently(|| commands::restore::run(&args, output)),
        Some(Command::Keygen(args)) => commands::keygen::run(&args, output),
        Some(Command::Repair(args)) => output.stop().gently(|| commands::repair::run(&args, output)),
        Some(Command::Models(args)) => commands::models::run(&args, output),
        Some(Command::Inspect(args)) => commands::inspect::run(&args, output),
        Some(Command::Import(args)) => output.stop().gently(|| commands::import::run(&args, output)),
        Some(Command::Install(args)) => output.stop().gently(|| commands::install::run(&args, output)),
        Some(Command::Selftest(args)) => output.stop().gently(|| commands::selftest::run(&args, output)),
        Some(Command::Serve(args)) => commands::serve::run(&args, output),
        Some(Command::Generate(args)) => commands::generate::run(&args, output),
        Some(Command::Bench(args)) => commands::bench::run(&args, output),
        Some(Command::Doctor(args)) => commands::doctor::run(&args, output),
        Some(Command::Sealed) => self_test::run_child(),
        Some(Command::Knock { address }) => self_test::knock(address),
    }
}
