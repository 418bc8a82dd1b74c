package search

// suspicion of a level that no launch has shown to work or fail, of one that worked, and of one that failed alone.
const (
	suspectNew    = 0.1
	suspectWorked = 0.002
	suspectAlone  = 0.75
)

// crashes is how likely each level is to end a launch.
type crashes struct {
	suspicion [][]float64 // by knob and level
	odd       []cell      // crashed although every level worked elsewhere: a combination did it
}

// learnCrashes finds the levels behind crashes: a level that worked is cleared; a crash is put down to the levels left,
// shared by how suspicious each is from the others. The base's levels are the shipped default's and start cleared.
func learnCrashes(g *grid, trials []observed) crashes {
	m := crashes{}
	for k, a := range g.axes {
		row := make([]float64, len(a.values))
		for level := range row {
			row[level] = suspectNew
			if level == g.base[k] {
				row[level] = suspectWorked
			}
		}
		m.suspicion = append(m.suspicion, row)
	}
	worked := func(k, level int) bool { return m.suspicion[k][level] == suspectWorked }
	for _, t := range trials {
		for k, level := range t.cell {
			if t.ok {
				m.suspicion[k][level] = suspectWorked
			}
		}
	}
	var failed [][][2]int // suspects of each crash, as knob and level
	for _, t := range trials {
		var suspects [][2]int
		for k, level := range t.cell {
			if t.crashed && !worked(k, level) {
				suspects = append(suspects, [2]int{k, level})
			}
		}
		switch {
		case len(suspects) > 0:
			failed = append(failed, suspects)
		case t.crashed:
			m.odd = append(m.odd, t.cell)
		}
	}
	for range 8 {
		m.blame(failed)
	}
	return m
}

// blame shares each crash among its suspects once more.
func (m *crashes) blame(failed [][][2]int) {
	innocent := map[[2]int]float64{}
	for _, suspects := range failed {
		total := 0.0
		for _, s := range suspects {
			total += m.suspicion[s[0]][s[1]]
		}
		for _, s := range suspects {
			if _, ok := innocent[s]; !ok {
				innocent[s] = 1 - suspectNew
			}
			innocent[s] *= 1 - suspectAlone*m.suspicion[s[0]][s[1]]/total
		}
	}
	for s, p := range innocent {
		m.suspicion[s[0]][s[1]] = 1 - p
	}
}

// survives is how likely a cell is to come up.
func (m *crashes) survives(c cell) float64 {
	p := 1.0
	for k, level := range c {
		p *= 1 - m.suspicion[k][level]
	}
	for _, o := range m.odd {
		differs := 0
		for k := range c {
			if c[k] != o[k] {
				differs++
			}
		}
		switch differs {
		case 0:
			return 0
		case 1:
			p *= 0.5
		}
	}
	return p
}
