//! What an agent may use of the machine, as its environment says it.

/// The limits of an agent's scope; none where none were set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Microseconds of CPU time a second: 1,000,000 is one core.
    pub cpu_us: Option<u64>,
}

impl Limits {
    /// Reads `MOSAIC_AGENT_MEMORY_MAX` and `MOSAIC_AGENT_CPU_QUOTA`.
    ///
    /// # Errors
    /// One line that names the variable and what is wrong with it.
    pub fn read(memory: Option<&str>, cpu: Option<&str>) -> Result<Limits, String> {
        Ok(Limits {
            memory: read(
                memory,
                bytes,
                "MOSAIC_AGENT_MEMORY_MAX",
                "bytes, with K, M, G or T, or infinity",
            )?,
            cpu_us: read(
                cpu,
                share,
                "MOSAIC_AGENT_CPU_QUOTA",
                "a percentage of one core such as 150%",
            )?,
        })
    }
}

fn read(
    text: Option<&str>,
    meaning: impl Fn(&str) -> Option<u64>,
    name: &str,
    takes: &str,
) -> Result<Option<u64>, String> {
    text.map(|text| {
        meaning(text.trim()).ok_or_else(|| format!("{name} is {text:?}; it takes {takes}"))
    })
    .transpose()
}

/// Bytes as systemd reads them: powers of 1024. `infinity` is the largest number, as on its bus.
fn bytes(text: &str) -> Option<u64> {
    if text == "infinity" {
        return Some(u64::MAX);
    }
    let (digits, power) = match text.char_indices().next_back()? {
        (at, unit) if unit.is_ascii_alphabetic() => (&text[..at], "KMGT".find(unit)? + 1),
        _ => (text, 0),
    };
    let factor = 1024_u64.checked_pow(u32::try_from(power).ok()?)?;
    digits
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|n| *n > 0)
}

fn share(text: &str) -> Option<u64> {
    let percent = text.strip_suffix('%')?.parse::<u64>().ok()?;
    percent.checked_mul(10_000).filter(|us| *us > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_systemd_reads_them() {
        let read = |m, c| Limits::read(Some(m), Some(c));
        let limits = |memory, cpu_us| {
            Ok(Limits {
                memory: Some(memory),
                cpu_us: Some(cpu_us),
            })
        };
        assert_eq!(read("512M", "150%"), limits(512 << 20, 1_500_000));
        assert_eq!(read("4096", "5%"), limits(4096, 50_000));
        assert_eq!(read("infinity", "100%"), limits(u64::MAX, 1_000_000));
        assert_eq!(Limits::read(None, None), Ok(Limits::default()));
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_named() {
        for bad in [
            "",
            "0",
            "much",
            "5X",
            "-1M",
            "M",
            "50%",
            "99999999999999T",
            "5 M",
            "1\u{e9}",
        ] {
            let e = Limits::read(Some(bad), None);
            assert!(
                e.is_err_and(|e| e.contains("MOSAIC_AGENT_MEMORY_MAX")),
                "{bad}"
            );
        }
        for bad in ["", "1", "0%", "x%", "-5%"] {
            let e = Limits::read(None, Some(bad));
            assert!(
                e.is_err_and(|e| e.contains("MOSAIC_AGENT_CPU_QUOTA")),
                "{bad}"
            );
        }
    }
}
