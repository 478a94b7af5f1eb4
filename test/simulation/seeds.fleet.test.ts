import { describeFleetSeeds } from './seeds.js';

describeFleetSeeds();
