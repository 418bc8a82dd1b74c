package trace

const pageBits = 12

// paged is a list that grows without moving what it holds, so that large traces leave no garbage.
type paged[T any] struct {
	pages [][]T
	n     int
}

// add appends v.
func (p *paged[T]) add(v T) {
	if p.n>>pageBits == len(p.pages) {
		p.pages = append(p.pages, make([]T, 0, 1<<pageBits))
	}
	last := &p.pages[len(p.pages)-1]
	*last = append(*last, v)
	p.n++
}

// at gives element i.
func (p *paged[T]) at(i int) *T { return &p.pages[i>>pageBits][i&(1<<pageBits-1)] }

// len is the number of elements.
func (p *paged[T]) len() int { return p.n }
