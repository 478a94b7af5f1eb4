process.argv.push('seq1'); process.env.K='5';
await import('./w1.tmp.mjs');
console.log('commits', __n, 'ms each', (__t/__n).toFixed(3), 'numbers', (__m/__n).toFixed(0));
