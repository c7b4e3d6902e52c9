import { writeFileSync } from 'node:fs';
import { compare, renderReport } from 'selectors-native/trace';

const rows = await compare({ subjects: ['reactor', 'node:net'], connections: 10, messages: 2000 });
writeFileSync('compare.html', renderReport(rows));
