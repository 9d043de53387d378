"""Charts that know no paper: palette, panels, sheets, and their forms in a page."""
