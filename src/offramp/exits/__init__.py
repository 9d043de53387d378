"""Local exits themselves: score, decision, answers and what they are worth. numpy only, and pure."""
