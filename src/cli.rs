//! What can be typed: commands and options, with the help that a person reads under stress.
//!
//! Nothing is done here. `main` turns these values into calls of one function per command.

use clap::{Args, Parser, Subcommand, ValueEnum};
use manifest::ByteSize;
use std::net::IpAddr;
use std::path::PathBuf;

const OVERVIEW: &str = "\
Two machines, one program:

  With internet      fieldforge bundle forge.toml --out /media/usb/kit
                     downloads what forge.toml names, checks every byte, packs a folder
  Without            /media/usb/kit/fieldforge
                     installs, proves that it works offline, opens a page in the browser

Try the whole journey on this machine:    fieldforge demo
Draw one picture now:                     fieldforge generate \"a banana\"
What can go into a bundle:                fieldforge catalog list
Something does not work:                  fieldforge doctor

Exit status: 0 done; 1 it cannot be done (the message says why and what to do); 2 wrong usage or a fault of ours;
130 stopped by Ctrl+C (the message says what is left and how to go on).";

/// A portable forge for pictures: pack Stable Diffusion models, carry them across an air gap, generate offline with proof.
#[derive(Debug, Parser)]
#[command(name = "fieldforge", version, after_help = OVERVIEW, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
}

/// Options that every command takes.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct GlobalArgs {
    /// Print results and progress as JSON, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print no progress, only results and problems
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install, prove and open: what a double click beside a bundle does
    Start(StartArgs),
    /// Walk through the whole journey on this machine with the built-in model
    Demo(DemoArgs),
    /// Look up what can go into a bundle
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Show what `bundle` would download, without doing it
    Plan(PlanArgs),
    /// Download, check and pack what forge.toml names (needs internet)
    Bundle(BundleArgs),
    /// Check every byte of a bundle or of an installed home
    Verify(VerifyArgs),
    /// Write down what is installed, so that the next bundle carries only what is missing
    Inventory(InventoryArgs),
    /// List what was installed when
    History(HistoryArgs),
    /// Remove old installations
    Gc(GcArgs),
    /// Keep a whole home safe: models, settings, pictures, history and the program, in a bundle
    Backup(BackupArgs),
    /// Bring a backup, or a folder frozen with `import --whole`, back as it was, all or nothing
    Restore(RestoreArgs),
    /// Make a key that signs bundles
    Keygen(KeygenArgs),
    /// Put a damaged bundle back together with its recovery data
    Repair(RepairArgs),
    /// Show what a bundle holds, or what a model file is
    Inspect(InspectArgs),
    /// Unpack a bundle into a home, all or nothing
    Install(InstallArgs),
    /// Take over models, pictures and papers of Forge, AUTOMATIC1111, Fooocus, ComfyUI or InvokeAI
    Import(ImportArgs),
    /// Draw a picture with the network shut off by the kernel, and compare it
    Selftest(SelftestArgs),
    /// List the installed models, LoRAs and embeddings by the names that prompts call them
    Models(ModelsArgs),
    /// Open the page on this machine
    Serve(ServeArgs),
    /// Draw a picture into a file
    Generate(Box<GenerateArgs>),
    /// Measure how fast this machine draws
    Bench(BenchArgs),
    /// Look at this machine: what works, what does not, what to do
    Doctor(DoctorArgs),
    /// Runs inside the sealed child of a self-test
    #[command(name = "__sealed", hide = true)]
    Sealed,
    /// Runs inside the unsealed child of a self-test: the positive control
    #[command(name = "__knock", hide = true)]
    Knock {
        /// The canary's address
        address: std::net::SocketAddr,
    },
}

/// Where an installation lives.
#[derive(Args, Clone, Debug)]
pub(crate) struct HomeArgs {
    /// The folder to install into and to work in [default: the folder of this program if it is an installed one, else ~/fieldforge]
    #[arg(long, value_name = "DIR", env = "FIELDFORGE_HOME", hide_env = true)]
    pub(crate) home: Option<PathBuf>,
}

/// How the page is served.
#[derive(Args, Clone, Debug)]
pub(crate) struct PageArgs {
    /// Use exactly this port [default: 7860, or the next free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Do not open a browser
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Go on even if the kernel of this machine cannot shut off the network
    #[arg(long)]
    pub(crate) allow_unsealed: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StartArgs {
    /// The bundle folder [default: the folder of this program]
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    #[command(flatten)]
    pub(crate) page: PageArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Stop after the self-test
    #[arg(long)]
    pub(crate) no_serve: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Leave the bundle, the home, self-test.json and picture.png in this folder
    #[arg(long, value_name = "DIR", default_value = "fieldforge-demo")]
    pub(crate) out: PathBuf,
    /// What to draw at the end
    #[arg(long, value_name = "TEXT", default_value = "a banana")]
    pub(crate) prompt: String,
    /// Stop before the page is opened
    #[arg(long)]
    pub(crate) no_serve: bool,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// List everything, one line each
    List {
        /// Only this kind: checkpoint, lora, vae, taesd, upscaler, controlnet, frontend
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
    },
    /// Show one entry with its sources, digest, licence and settings
    Show {
        /// The entry's name, as `catalog list` prints it
        name: String,
    },
}

/// What to put into a bundle and how to get it.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    /// What you want in the bundle; forge.lock is kept beside it [default: the built-in model and page]
    #[arg(value_name = "FORGE.TOML")]
    pub(crate) request: Option<PathBuf>,
    /// Also take this entry of the catalog (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub(crate) add: Vec<String>,
    /// Accept a download whose digest nobody could confirm, and pin it
    #[arg(long)]
    pub(crate) trust_on_first_use: bool,
}

#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// Print an aria2 input file, for a machine where this program may not run
    #[arg(long)]
    pub(crate) print_urls: bool,
    #[command(flatten)]
    pub(crate) fetch: FetchArgs,
}

/// How files are fetched.
#[derive(Args, Debug)]
pub(crate) struct FetchArgs {
    /// Keep downloads here [default: ~/.cache/fieldforge]
    #[arg(long, value_name = "DIR", env = "FIELDFORGE_CACHE", hide_env = true)]
    pub(crate) cache: Option<PathBuf>,
    /// Look for files in this folder first; they are recognized by their digest (may be repeated)
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Vec<PathBuf>,
    /// Trust this certificate authority too (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Use only the cache and --from, no network
    #[arg(long)]
    pub(crate) offline: bool,
}

/// How weights stand in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecArg {
    // Without help of their own: with it, the whole help text would be printed in its long form.
    Plain,
    Planes,
}

#[derive(Args, Debug)]
pub(crate) struct BundleArgs {
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// Write the bundle folder here
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on in this folder, on another stick, when --out is full (may be repeated; on a terminal it asks)
    #[arg(long, value_name = "DIR")]
    pub(crate) next: Vec<PathBuf>,
    /// Cut the archive into files of at most this size, for example 4GB [default: what the target's file system allows]
    #[arg(long, value_name = "SIZE")]
    pub(crate) volume_size: Option<ByteSize>,
    /// Leave out what this inventory of an installed home lists: an update
    #[arg(long, value_name = "FILE")]
    pub(crate) have: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sign: SignArgs,
    /// Recovery data to add, from which damaged places can be computed again; 0 for none
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = percent)]
    pub(crate) recovery: f64,
    /// How weights stand in the archive. `planes` makes them about a twelfth smaller; without fieldforge they then have
    /// to be decoded after extraction, with a small program that is in the bundle
    #[arg(long, value_name = "CODEC", value_enum, default_value_t = CodecArg::Plain)]
    pub(crate) codec: CodecArg,
    /// Extra files to make, of which each can replace a whole lost volume
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) recovery_volumes: u32,
    /// Replace a bundle that is already in --out
    #[arg(long)]
    pub(crate) replace: bool,
    /// Do not read from the medium again what was written to it
    #[arg(long)]
    pub(crate) no_read_back: bool,
    #[command(flatten)]
    pub(crate) fetch: FetchArgs,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// A bundle folder, or an installed home; of a bundle on several sticks, one of them or all
    #[arg(value_name = "FOLDER", required = true)]
    pub(crate) folders: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// A bundle folder, a home, a .safetensors file, or a picture
    #[arg(value_name = "WHAT", required_unless_present = "licences")]
    pub(crate) what: Option<PathBuf>,
    /// Who made what is inside, under which licence, and where its text is; without WHAT: of this program
    #[arg(long)]
    pub(crate) licences: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ModelsArgs {
    /// Only this kind: checkpoint, refiner, lora, vae, taesd, embedding, upscaler, controlnet
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct InstallArgs {
    /// A bundle folder, or its folders on several sticks; on a terminal it asks for those that are missing
    /// [default: the folder of this program]
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
    /// Go back to the installation before this one
    #[arg(long, conflicts_with = "bundle")]
    pub(crate) roll_back: bool,
    /// Of a damaged bundle, install the files that are whole and leave out the others (exit status 1 if there are any)
    #[arg(long, conflicts_with = "roll_back")]
    pub(crate) salvage: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The other program's folder, or any folder with models, or one .safetensors file; it is only read
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also carry models that this version cannot draw with
    #[arg(long)]
    pub(crate) all: bool,
    /// Leave the pictures where they are
    #[arg(long)]
    pub(crate) no_outputs: bool,
    /// Copy nothing; write a forge.toml that names the models, for `bundle`
    #[arg(long, value_name = "FORGE.TOML", conflicts_with_all = ["dry_run", "no_outputs", "home"])]
    pub(crate) write: Option<PathBuf>,
    /// Take nothing out of the folder: freeze all of it into a bundle, from which `restore` brings it back bit for bit
    #[arg(long, requires = "out", conflicts_with_all = ["dry_run", "all", "no_outputs", "write", "home"])]
    pub(crate) whole: bool,
    /// Write the bundle folder here
    #[arg(long, short, value_name = "DIR", requires = "whole", help_heading = "With --whole")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten, next_help_heading = "With --whole")]
    pub(crate) freeze: FreezeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SelftestArgs {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    /// Pass even if the kernel of this machine cannot shut off the network
    #[arg(long)]
    pub(crate) allow_unsealed: bool,
    /// Precision of products: only f32 can be equal to the bundle's picture byte for byte
    #[arg(long, value_name = "auto|f32|bf16", default_value = "f32")]
    pub(crate) precision: engine::Precision,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgs,
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// Let paired devices on the network use the page too, at this address of this machine [without ADDRESS: at each
    /// private one]
    #[arg(long, value_name = "ADDRESS", num_args = 0..)]
    pub(crate) lan: Option<Vec<IpAddr>>,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// The checkpoint to measure: an installed one, or a .safetensors file [default: the built-in spark]
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Size of the picture, for example 512x512 [default: as the model was trained]
    #[arg(long, value_name = "WxH")]
    pub(crate) size: Option<String>,
    /// Only this precision of the model [default: both]
    #[arg(long, value_name = "auto|f32|bf16")]
    pub(crate) precision: Option<engine::Precision>,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
}

/// How numbers are multiplied.
#[derive(Args, Debug)]
pub(crate) struct PrecisionArgs {
    /// Precision of products: bf16 is faster where the processor has it, f32 is equal byte for byte on many machines;
    /// auto takes bf16 where it is fast
    #[arg(long, value_name = "auto|f32|bf16", default_value = "auto")]
    pub(crate) precision: engine::Precision,
}

#[derive(Args, Debug)]
pub(crate) struct GenerateArgs {
    /// What to draw
    #[arg(value_name = "PROMPT", required_unless_present = "prompt_from")]
    pub(crate) prompt: Option<String>,
    /// Start from the settings that stand in this picture; other options change them
    #[arg(long, value_name = "PICTURE")]
    pub(crate) prompt_from: Option<PathBuf>,
    /// Write the picture here (PNG)
    #[arg(long, short, value_name = "FILE", default_value = "picture.png")]
    pub(crate) out: PathBuf,
    /// A checkpoint: the name of an installed one, or a .safetensors file [default: the installed default, else spark]
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// What to avoid
    #[arg(long, value_name = "TEXT")]
    pub(crate) negative: Option<String>,
    /// Size in pixels, for example 512x768
    #[arg(long, value_name = "WxH")]
    pub(crate) size: Option<String>,
    /// Sampling steps
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u32>,
    /// CFG scale: how strictly to follow the prompt
    #[arg(long, value_name = "N")]
    pub(crate) cfg: Option<f32>,
    /// The same seed with the same settings gives the same picture [default: random]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Euler, "Euler a", "DPM++ 2M", Heun, DDIM, …; an unknown name lists them all
    #[arg(long, value_name = "NAME")]
    pub(crate) sampler: Option<String>,
    /// How the noise levels are spread: Karras, "SGM Uniform", … [default: as suits the sampler]
    #[arg(long, value_name = "NAME")]
    pub(crate) scheduler: Option<String>,
    /// Whose random numbers: CPU (ComfyUI) or NV (AUTOMATIC1111's and Forge's default, "RNG: GPU") [default: CPU]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) noise: Option<String>,
    /// Which layer of the text encoder counts, from the end [default: as the model was trained]
    #[arg(long, value_name = "N")]
    pub(crate) clip_skip: Option<u32>,
    /// Draw this many pictures, each with the next seed: picture.png, picture-2.png, …
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) batch: u32,
    #[command(flatten)]
    pub(crate) precision: PrecisionArgs,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    #[command(flatten)]
    pub(crate) pictures: PictureArgs,
    #[command(flatten)]
    pub(crate) larger: LargerArgs,
}

/// Pictures to start from, and what is done with them.
#[derive(Args, Debug)]
#[command(next_help_heading = "From pictures")]
pub(crate) struct PictureArgs {
    /// Start from this picture (PNG, JPEG or WebP)
    #[arg(long, value_name = "FILE")]
    pub(crate) init: Option<PathBuf>,
    /// How much of it may change, 0 to 1 [default: 0.75]
    #[arg(long, value_name = "X", requires = "init")]
    pub(crate) strength: Option<f32>,
    /// How it is brought to the size that is drawn: stretch, crop, fill or latent [default: stretch]
    #[arg(long, value_name = "MODE", requires = "init")]
    pub(crate) resize_mode: Option<String>,
    /// Draw only what is white in this picture, or opaque if it has transparent parts
    #[arg(long, value_name = "FILE", requires = "init")]
    pub(crate) mask: Option<PathBuf>,
    /// Draw only what is not masked
    #[arg(long, requires = "mask")]
    pub(crate) invert_mask: bool,
    /// Blur the mask by this many pixels [default: 4]
    #[arg(long, value_name = "N", requires = "init")]
    pub(crate) mask_blur: Option<f32>,
    /// What is in the masked part at first: original, fill (the colours around it), noise or nothing [default: original]
    #[arg(long, value_name = "WHAT", requires = "init")]
    pub(crate) inpaint_fill: Option<String>,
    /// Draw the masked part alone, large, with N pixels around it to see
    #[arg(long, value_name = "N", requires = "mask")]
    pub(crate) only_masked: Option<u32>,
    /// Draw around the picture: left=64,top=32 or all=64
    #[arg(long, value_name = "EDGES", requires = "init")]
    pub(crate) extend: Option<String>,
    /// Follow a picture with a ControlNet: NAME=FILE, or NAME=canny:FILE for that picture's edges (may be repeated)
    #[arg(long, value_name = "NAME=FILE")]
    pub(crate) control: Vec<String>,
}

/// A second pass and what follows it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Larger pictures")]
pub(crate) struct LargerArgs {
    /// Draw a second time at this many times the size, or at this size: 2 or 1024x1536
    #[arg(long, value_name = "SCALE")]
    pub(crate) hires: Option<String>,
    /// How the first result is enlarged: Latent, "Latent (nearest-exact)", Lanczos, …, an installed upscaler or a file
    /// [default: Latent]
    #[arg(long, value_name = "NAME", requires = "hires")]
    pub(crate) hires_upscaler: Option<String>,
    /// How much the second pass may change, 0 to 1 [default: 0.7]
    #[arg(long, value_name = "X", requires = "hires")]
    pub(crate) hires_strength: Option<f32>,
    /// Steps of the second pass [default: those of the first]
    #[arg(long, value_name = "N", requires = "hires")]
    pub(crate) hires_steps: Option<u32>,
    /// What the second pass draws [default: the prompt]
    #[arg(long, value_name = "TEXT", requires = "hires")]
    pub(crate) hires_prompt: Option<String>,
    /// What the second pass avoids [default: what the first does]
    #[arg(long, value_name = "TEXT", requires = "hires")]
    pub(crate) hires_negative: Option<String>,
    /// Let another checkpoint draw the last steps: NAME@0.8 switches after 80 % of them
    #[arg(long, value_name = "MODEL@SHARE")]
    pub(crate) refiner: Option<String>,
    /// Enlarge the result with this upscaler: an installed one or a file
    #[arg(long, value_name = "NAME")]
    pub(crate) upscale: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RepairArgs {
    /// The bundle folder, or one of its volumes
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Look for recovery volumes and volumes of the bundle in this folder, too (may be repeated)
    #[arg(long, value_name = "DIR")]
    pub(crate) with: Vec<PathBuf>,
}

/// Who vouches for a bundle.
#[derive(Args, Debug)]
pub(crate) struct SignArgs {
    /// Sign with this minisign secret key [default: this account's own, made when it is first needed]
    #[arg(long, value_name = "FILE")]
    pub(crate) sign: Option<PathBuf>,
    /// Do not sign: whoever installs must say --allow-unsigned
    #[arg(long, conflicts_with = "sign")]
    pub(crate) no_sign: bool,
}

#[derive(Args, Debug)]
pub(crate) struct InventoryArgs {
    /// Write the list here
    #[arg(long, short, value_name = "FILE", default_value = "have.json")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct GcArgs {
    /// Keep this many installations before the one in use
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) keep: usize,
    #[command(flatten)]
    pub(crate) home: HomeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
    /// Write the bundle folder here
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) freeze: FreezeArgs,
}

/// How a folder is frozen.
#[derive(Args, Debug)]
pub(crate) struct FreezeArgs {
    /// Go on in this folder, on another stick, when --out is full (may be repeated; on a terminal it asks)
    #[arg(long, value_name = "DIR")]
    pub(crate) next: Vec<PathBuf>,
    /// What to call it [default: as the earlier one, else after the folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Leave out what this earlier backup holds: its folder, or the inventory.json from it (may be repeated)
    #[arg(long, value_name = "EARLIER")]
    pub(crate) have: Vec<PathBuf>,
    /// Read every file, even those that look unchanged since
    #[arg(long)]
    pub(crate) rehash: bool,
    /// Cut the archive into files of at most this size, for example 4GB [default: what the target's file system allows]
    #[arg(long, value_name = "SIZE")]
    pub(crate) volume_size: Option<ByteSize>,
    #[command(flatten)]
    pub(crate) sign: SignArgs,
    /// Recovery data to add, from which damaged places can be computed again; 0 for none
    #[arg(long, value_name = "PERCENT", default_value = "2%", value_parser = percent)]
    pub(crate) recovery: f64,
    /// Replace a bundle that is already in --out
    #[arg(long)]
    pub(crate) replace: bool,
    /// Do not read from the medium again what was written to it
    #[arg(long)]
    pub(crate) no_read_back: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The backup's folder, and those that it builds on, in any order
    #[arg(value_name = "BACKUP", required = true)]
    pub(crate) backups: Vec<PathBuf>,
    /// The folder to make
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Accept only this minisign public key: the key or its .pub file (may be repeated) [default: any, and its words are shown]
    #[arg(long, value_name = "KEY")]
    pub(crate) trust: Vec<String>,
    /// Accept a backup that nobody signed
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
}

#[derive(Args, Debug)]
pub(crate) struct KeygenArgs {
    /// Write the secret key here, and the public one beside it, ending in .pub
    #[arg(long, short, value_name = "FILE", default_value = "fieldforge.key")]
    pub(crate) out: PathBuf,
    /// Protect it with a password, which is asked for (or taken from FIELDFORGE_KEY_PASSWORD)
    #[arg(long)]
    pub(crate) password: bool,
}

/// Whose bundles are accepted.
#[derive(Args, Debug, Default)]
pub(crate) struct TrustArgs {
    /// Trust bundles of this minisign public key: the key or its .pub file (may be repeated) [default: those that the home trusts; the first one, for a new home]
    #[arg(long, value_name = "KEY")]
    pub(crate) trust: Vec<String>,
    /// Accept a bundle that nobody signed
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
    /// Accept an older edition of what is installed
    #[arg(long)]
    pub(crate) allow_older: bool,
}

/// Reads "2%" or "2".
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim().parse::<f64>().ok();
    number
        .filter(|number| (0.0..=100.0).contains(number))
        .ok_or_else(|| "write a number from 0 to 100, like 2%".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) home: HomeArgs,
}
