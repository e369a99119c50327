"""How the page looks."""

from __future__ import annotations

from ohlora_fast.colors import PALETTE, hue_degree

CSS = """
#photo img { visibility: hidden; }
#heads img { object-fit: scale-down; }
#heads .icon-button-wrapper { display: none; }
#chosen label { padding: 5px 9px; }
#color input[type=range]::-webkit-slider-runnable-track { background: var(--hues) !important; }
#color input[type=range]::-moz-range-track { background: var(--hues) !important; }
#palette { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 6px; }
@media (max-width: 480px) { #palette { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
#palette button { min-width: 0; justify-content: flex-start; padding: 4px 6px; }
#palette button::before {
  content: ""; width: 1.1em; height: 1.1em; margin-right: 7px; border-radius: 50%; background: var(--swatch);
  border: 1px solid rgba(0, 0, 0, 0.25); flex: none;
}
#message:not(:has([role=alert])) { display: none; }
#message [role=alert] {
  padding: 10px 14px; border-radius: 8px; color: #7f1d1d; background: #fee2e2; border: 1px solid #fca5a5;
  overflow-wrap: anywhere;
}
"""


def swatch_id(name: str) -> str:
    """The HTML id of a colour's button.

    >>> swatch_id("sky blue")
    'swatch-sky-blue'
    """
    return f"swatch-{name.replace(' ', '-')}"


def css() -> str:
    """Return the style sheet: the hue circle as the colour slider's track, and a dot on each colour's button."""
    hues = ", ".join(f"hsl({degree} 90% 55%)" for degree in range(0, 361, 30))
    swatches = "".join(
        f"#{swatch_id(name)} {{ --swatch: hsl({hue_degree(color)} 90% 55%); }}\n" for name, color in PALETTE.items()
    )
    return f":root {{ --hues: linear-gradient(to right, {hues}); }}{CSS}{swatches}"
