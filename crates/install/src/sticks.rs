//! The sticks of a bundle, put in one after the other.

use crate::InstallError;
use crate::volumes::VolumeSet;
use manifest::{Event, Reporter, StickRequest, layout};
use std::collections::BTreeMap;
use std::path::Path;

/// The volumes that are here now, and what is known of those that were here before.
pub(crate) struct Sticks {
    set: VolumeSet,
    /// By number: the frame that a volume begins with and the one that follows it, where that is known.
    seen: BTreeMap<u32, (Option<u64>, Option<u64>)>,
    /// How many volumes there are, once the last one was here.
    count: Option<u32>,
}

impl Sticks {
    pub(crate) fn new(set: &VolumeSet) -> Self {
        let mut sticks = Self { set: set.clone(), seen: BTreeMap::new(), count: None };
        sticks.note();
        sticks
    }

    /// The volumes that are here.
    pub(crate) const fn set(&self) -> &VolumeSet {
        &self.set
    }

    /// Asks for the stick that holds frame number `frame`, until one is put in that holds something new.
    ///
    /// # Errors
    /// When nobody can be asked, or wants to go on.
    pub(crate) fn change(&mut self, frame: u64, reporter: &dyn Reporter) -> Result<(), InstallError> {
        let (why, wanted) = self.why(frame);
        loop {
            reporter.go_on()?;
            let request = StickRequest { why: &why, folder: self.set.folder() };
            let Some(folder) = reporter.ask_for_stick(&request) else { return Err(InstallError::Elsewhere { why }) };
            match self.set.find_more(&folder) {
                Ok(found) if found.volumes.iter().any(|volume| !self.seen.contains_key(&volume.number)) => {
                    for finding in &found.findings {
                        reporter.event(&Event::Warning { text: &finding.to_string() });
                    }
                    self.set = found;
                    self.note();
                    return Ok(());
                }
                Ok(found) => reporter.event(&Event::Warning { text: &nothing_new(&found, &folder, &wanted) }),
                Err(error) => {
                    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                    reporter.event(&Event::Warning { text: &format!("{error}{hint}") });
                }
            }
        }
    }

    /// Takes note of what is here.
    fn note(&mut self) {
        for volume in &self.set.volumes {
            let end = volume.end.map(|(end, _)| end);
            self.seen.insert(volume.number, (volume.first_frame, end.map(|end| end.next_frame)));
            if end.is_some_and(|end| end.last) {
                self.count = Some(volume.number);
            }
        }
    }

    /// Which volume holds that frame, in a sentence, and the name of its file.
    fn why(&self, frame: u64) -> (String, String) {
        let before = self.seen.iter().filter(|(_, (first, _))| first.is_some_and(|first| first <= frame));
        let first = before.map(|(number, _)| number + 1).max().unwrap_or(1);
        let after = self.seen.keys().copied().find(|number| *number >= first);
        let name = layout::volume_name(&self.set.name, first);
        let of = self.count.map(|count| format!(" of {count}")).unwrap_or_default();
        let why = match after {
            Some(after) if after > first + 1 => {
                let last = layout::volume_name(&self.set.name, after - 1);
                format!(
                    "volumes {first} to {}{of} are not here: put in the stick that holds `{name}`, or one up to `{last}`",
                    after - 1
                )
            }
            _ => format!("volume {first}{of} is not here: put in the stick that holds `{name}`"),
        };
        (why, name)
    }
}

/// What is wrong with a stick that does not help.
fn nothing_new(found: &VolumeSet, folder: &Path, wanted: &str) -> String {
    let here: Vec<_> = found.volumes.iter().map(|volume| format!("`{}`", volume.name)).collect();
    let wrong: Vec<_> = found.findings.iter().map(|finding| format!("; {finding}")).collect();
    match here.is_empty() {
        true => format!("`{}` holds no volume of this bundle{}", folder.display(), wrong.concat()),
        false => format!(
            "`{}` holds {}, which was read already, and not `{wanted}`{}",
            folder.display(),
            here.join(", "),
            wrong.concat()
        ),
    }
}
