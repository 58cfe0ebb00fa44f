//! The plan as a person reads it.

use super::Program;
use super::found::{FoundModel, LeftOut};
use super::plan::ImportPlan;
use manifest::{ByteSize, ComponentKind, layout};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// So many names are shown of what stays behind for one reason.
const SHOWN: usize = 8;

impl fmt::Display for ImportPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        writeln!(f, "{}{version} in `{}`", self.program, self.folder.display())?;
        self.coming(f)?;
        for (old, new) in &self.renamed {
            writeln!(f, "  `{}` is called `{new}` here", old.escape_debug())?;
        }
        if let Some(id) = &self.default_model {
            writeln!(f, "  generation will start with `{id}`")?;
        }
        self.staying(f)
    }
}

impl ImportPlan {
    /// What comes along: a row for each kind and family.
    fn coming(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "\nNothing new for `{}`", self.home.display());
        }
        writeln!(f, "\nInto `{}`:", self.home.display())?;
        let mut rows: BTreeMap<(ComponentKind, &str), (usize, u64)> = BTreeMap::new();
        for model in &self.models {
            let family = model.component.family.as_deref().unwrap_or("");
            let row = rows.entry((model.component.kind, family)).or_default();
            row.0 += 1;
            row.1 += model.size();
        }
        for ((kind, family), (count, size)) in rows {
            writeln!(f, "  {kind:12}{family:14}{count:>6}  {:>10}", ByteSize(size).to_string())?;
        }
        let beside: usize = self.models.iter().map(beside).sum();
        if beside > 0 {
            writeln!(f, "  with {} that {} beside them", files(beside), if beside == 1 { "lies" } else { "lie" })?;
        }
        for (is_output, what) in [(true, "pictures"), (false, "papers")] {
            let kept = self.keepsakes.iter().filter(|file| file.is_output == is_output);
            let (count, size) = kept.fold((0, 0), |(count, size), file| (count + 1, size + file.size));
            if count > 0 {
                let below = if is_output {
                    format!("{}/{}", layout::OUTPUTS, layout::IMPORTED)
                } else {
                    layout::IMPORTED.to_owned()
                };
                let size = ByteSize(size).to_string();
                let told = is_output && self.program == Program::InvokeAi;
                let how = if told { "with their settings as text" } else { "as they are" };
                writeln!(f, "  {what:26}{count:>6}  {size:>10}  {how}, to {below}/{}", self.program.folder_name())?;
            }
        }
        writeln!(f, "  together {}", ByteSize(self.size()))?;
        let unusable = self.models.iter().filter(|model| !model.usable).count();
        if unusable > 0 {
            writeln!(f, "  {unusable} of these cannot be drawn with by this version; they are carried all the same")?;
        }
        Ok(())
    }

    /// What stays behind, a paragraph for each reason.
    fn staying(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: Vec<(&str, Vec<&LeftOut>)> = Vec::new();
        for left in &self.left {
            match groups.iter_mut().find(|(heading, _)| *heading == left.reason.heading()) {
                Some((_, group)) => group.push(left),
                None => groups.push((left.reason.heading(), vec![left])),
            }
        }
        if !groups.is_empty() {
            writeln!(f, "\nLeft out:")?;
        }
        for (heading, group) in groups {
            let size: u64 = group.iter().map(|left| left.size).sum();
            let size = if size > 0 { format!(", {}", ByteSize(size)) } else { String::new() };
            writeln!(f, "  {heading} ({}{size})", group.len())?;
            for left in group.iter().take(SHOWN) {
                let detail = left.reason.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
                writeln!(f, "    {}{detail}", self.shown(&left.path))?;
            }
            if group.len() > SHOWN {
                writeln!(f, "    and {} more (--json lists all)", group.len() - SHOWN)?;
            }
            if let Some(advice) = group.first().and_then(|left| left.reason.advice()) {
                writeln!(f, "    → {advice}")?;
            }
        }
        Ok(())
    }

    /// A path, from the imported folder on where it lies in there; harmless on a terminal.
    fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().replace('\\', "/");
        path.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    }
}

/// How many files of a model lie beside its weights.
fn beside(model: &FoundModel) -> usize {
    let is_weights = |path: &str| path.ends_with(".safetensors");
    let whole = model.files.iter().filter(|file| is_weights(file.to.as_str())).count() > 1;
    if whole { 0 } else { model.files.len().saturating_sub(1) }
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}
