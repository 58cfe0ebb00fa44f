//! `START-HERE.txt`: for whoever finds this stick.

use manifest::{BundleManifest, ByteSize, Frozen, layout};
use std::fmt::Write as _;

/// Which stick a text is for.
pub(crate) struct StickNote<'a> {
    /// From 1.
    pub(crate) number: u32,
    /// It is the last one, or the only one.
    pub(crate) last: bool,
    /// The names of the volumes on it.
    pub(crate) volumes: &'a [String],
    /// Recovery volumes lie beside them.
    pub(crate) recovery: bool,
}

/// The text. It depends on nothing but the bundle, so that it is the same each time.
pub(crate) fn text(manifest: &BundleManifest, stick: &StickNote<'_>) -> String {
    let mut text = match &manifest.frozen {
        Some(frozen) => to_restore(manifest, frozen, stick),
        None => to_install(manifest, stick),
    };
    describe(&mut text, manifest, stick);
    text
}

/// What to do with a frozen folder.
fn to_restore(manifest: &BundleManifest, frozen: &Frozen, stick: &StickNote<'_>) -> String {
    let BundleManifest { name, sequence, .. } = manifest;
    let program = match manifest.programs.first() {
        Some(program) => format!("./{}", program.file),
        None => "fieldforge".to_owned(),
    };
    let mut text = format!(
        "START HERE\n==========\n\n\
        This folder holds {part}{}, called \"{name}\", edition {sequence}.\n\n{}\
        It brings a folder back as it was, on any computer, under any path: every file, bit for bit.\n\n\n",
        frozen.what,
        if stick.is_alone() { String::new() } else { stick.text() },
        part = if stick.is_alone() { "" } else { "a part of " },
    );
    if !frozen.builds_on.is_empty() {
        text.push_str("It holds only what changed. To restore it, these are needed, too:\n\n");
        for edition in &frozen.builds_on {
            let _ = writeln!(text, "    {edition}");
        }
        text.push_str("\n\n");
    }
    let more = if frozen.builds_on.is_empty() { "" } else { " THE-OTHER-FOLDERS" };
    let _ = write!(
        text,
        "WHAT TO DO ON LINUX\n-------------------\n\n\
        1. Open a terminal in this folder.\n\
        2. Type this and press Enter; choose a folder that does not exist yet:\n\n\
        \x20      {program} restore .{more} --to ~/restored\n\n\
        You can stop at any time with Ctrl+C and start again: it goes on where it was. Nothing here\n\
        is changed. To check this folder only:      {program} verify .\n\n"
    );
    if manifest.programs.is_empty() {
        text.push_str("The program `fieldforge` lies in the folder of the first edition.\n\n");
    }
    text
}

/// What to do with a bundle.
fn to_install(manifest: &BundleManifest, stick: &StickNote<'_>) -> String {
    let name = &manifest.name;
    format!(
        "START HERE\n==========\n\n\
        This folder is {part}a Fieldforge bundle called \"{name}\".\n\n{sticks}\
        It holds everything that is needed to make pictures from words on a computer that has\n\
        no internet: the models, the page to work with, and the program. It needs no network,\n\
        no account and no other software, and it sends nothing to anybody.\n\n\n\
        WHAT TO DO ON LINUX\n-------------------\n\n\
        1. Open a terminal in this folder.\n\
        2. Type this and press Enter:\n\n       ./{program}\n\n\
        It asks where to install, checks every byte on the way, draws a test picture with the\n\
        network switched off, and shows the page in your browser. Your own files are left alone.\n\
        You can stop at any time with Ctrl+C and start again: it goes on where it was. Nothing on\n\
        this stick is changed.\n\n\
        If it says \"Permission denied\", the stick does not allow programs to start. Type:\n\n\
        \x20      cp {program} /tmp/ && chmod +x /tmp/{program} && /tmp/{program} start .\n\n\
        To check the bundle only:      ./{program} verify .\n\
        To see what is inside:         ./{program} inspect .\n\
        To see all licences:           ./{program} inspect --licences .\n\n",
        part = if stick.is_alone() { "" } else { "a part of " },
        sticks = if stick.is_alone() { String::new() } else { stick.text() },
        program = manifest.programs.first().map_or(layout::PROGRAM, |program| program.file.as_str()),
    )
}

/// What it needs, what is inside, and what to do when something is wrong.
fn describe(text: &mut String, manifest: &BundleManifest, stick: &StickNote<'_>) {
    let name = &manifest.name;
    let needs = &manifest.needs;
    let _ = write!(text, "The computer needs {} of free disk space", ByteSize(needs.disk));
    if needs.memory > 0 {
        let _ = write!(text, " and about {} of memory", ByteSize(needs.memory));
    }
    text.push_str(".\n");
    for program in &manifest.programs {
        let _ = writeln!(text, "`{}` runs on {}.", program.file, program.target);
    }
    text.push_str("\n\nWHAT IS INSIDE\n--------------\n\n");
    for component in &manifest.components {
        let files = manifest.files.iter().filter(|file| file.component == component.id);
        let size = ByteSize(files.map(|file| file.size).sum());
        let _ =
            writeln!(text, "  {} ({}, {size})\n      licence: {}", component.title, component.kind, component.licence);
    }
    let archive = layout::archive_name(name);
    let single = stick.volumes.first() == Some(&archive);
    let pattern = if single { archive.clone() } else { format!("{archive}.*") };
    let _ = write!(
        text,
        "\n\nIF THE PROGRAM DOES NOT RUN HERE\n--------------------------------\n\n\
        No data is locked in. The archive is an ordinary tar file, compressed with zstd.\n{join}\n\
        Linux:             cat {pattern} | tar --zstd -x\n\
        macOS, BSD:        cat {pattern} | bsdtar -x\n\
        Windows:           {}open it with 7-Zip (version 24 or later), twice:\n\
        \x20                  first the .zst, then the .tar inside it\n\n\
        {}To check for damage without the program:      sha256sum -c {}\n\n\n\
        IF SOMETHING IS WRONG\n---------------------\n\n\
        You cannot break anything by trying. If a check fails, the copy was damaged on its way,\n\
        which happens to sticks. Most damage can be put right here:      ./{} repair .\n\
        {lost}If it cannot, copy the folder again, or ask whoever made it for a new one.\n\
        The program is free software and comes without any warranty; each model keeps the\n\
        licence named above.\n\n\
        Made by {}. Bundle {}.\n",
        if single { String::new() } else { "join the volumes (copy /b), then ".to_owned() },
        planes(manifest),
        layout::SHA256SUMS,
        manifest.programs.first().map_or(layout::PROGRAM, |program| program.file.as_str()),
        manifest.made_by,
        manifest.id(),
        lost = if stick.recovery {
            format!(
                "Even a part of the archive that is lost altogether comes back, from the files\n`{}{}.*`.\n",
                name,
                layout::RECOVERY_SUFFIX
            )
        } else {
            String::new()
        },
        join = if stick.is_alone() {
            String::new()
        } else {
            format!("First copy the files `{archive}.*` of all sticks into one folder.\n")
        },
    );
}

impl StickNote<'_> {
    /// There is no other one.
    const fn is_alone(&self) -> bool {
        self.number == 1 && self.last
    }

    /// Which one it is and what is on it.
    fn text(&self) -> String {
        let number = self.number;
        let which = match self.last {
            true => format!("It is stick {number} of {number}, the last one"),
            false => format!("It is stick {number} of several; the last one says how many there are"),
        };
        format!(
            "{which}. On it lie\n{}\n\
            Begin with stick 1; after it, the others can be put in in any order. The program says\n\
            which one it needs, and goes on where it was if it is stopped meanwhile.\n\n",
            self.volumes.iter().map(|name| format!("    {name}\n")).collect::<String>()
        )
    }
}

/// What a person must do with files in byte planes.
fn planes(manifest: &BundleManifest) -> String {
    if manifest.files.iter().all(|file| file.codec.is_none()) {
        return String::new();
    }
    let (suffix, python, c) =
        (layout::PLANES_SUFFIX, layout::decoder_path("unplanes.py"), layout::decoder_path("unplanes.c"));
    format!(
        "Large models in it were made smaller: their names end in \"{suffix}\" after that. Either of\n\
        these turns them back, in the folder where you unpacked the archive:\n\n\
        \x20      find . -name '*{suffix}' -exec python3 {python} {{}} +\n\
        \x20      cc -O2 -o unplanes {c}; find . -name '*{suffix}' -exec ./unplanes {{}} +\n\n"
    )
}
